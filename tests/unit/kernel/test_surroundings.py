"""What a process may do and where."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
from collections.abc import Iterator

import pytest

from drystone.kernel.fork import fork_away
from drystone.kernel.surroundings import find_difference, read_surroundings, take_allowance


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    """Another process, whose shell has said what it wants to be."""
    words = (
        "ulimit -n 99; renice -n 7 $$ >/dev/null; trap '' HUP; echo 500 > /proc/self/oom_score_adj; echo; exec sleep 60"
    )
    with subprocess.Popen(["sh", "-c", words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_one_is_like_itself() -> None:
    ours, allowance = read_surroundings(os.getpid())
    assert find_difference(ours, read_surroundings(os.getpid())[0]) == ""
    assert ours.identity[0].split()[1] == str(os.geteuid())
    assert len(ours.namespaces) >= 6
    assert allowance.processors == os.sched_getaffinity(0)


def test_another_one_is_told_apart_and_what_can_be_taken_over_is(other: subprocess.Popen[bytes]) -> None:
    ours, our_allowance = read_surroundings(os.getpid())
    theirs, allowance = read_surroundings(other.pid)
    assert find_difference(ours, theirs) == "oom"
    assert allowance.ignored >> (signal.SIGHUP - 1) & 1
    assert allowance.nice >= 7

    def action() -> int:
        take_allowance(other.pid, our_allowance, allowance)
        now = read_surroundings(os.getpid())[1]
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 99
        assert (now.limits, now.nice) == (allowance.limits, allowance.nice)
        return 0

    assert os.waitpid(fork_away(action), 0)[1] == 0


def test_one_that_has_ended() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(OSError):  # noqa: PT011
        read_surroundings(child)
