"""Functions in processes of their own."""

from __future__ import annotations

import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from drystone.base.errors import KernelError
from drystone.kernel.fork import run_forked


def test_bytes_in_and_out() -> None:
    def action() -> int:
        sys.stdout.buffer.write(sys.stdin.buffer.read().upper())
        sys.stderr.write("why\n")
        return 3

    done = run_forked(action, b"abc\xff")
    assert (done.code, done.stdout, done.stderr) == (3, b"ABC\xff", b"why\n")


def test_more_than_a_pipe_holds() -> None:
    done = run_forked(lambda: sys.stdout.buffer.write(sys.stdin.buffer.read()) * 0, b"x" * (4 << 20))
    assert (done.code, len(done.stdout)) == (0, 4 << 20)


def test_what_it_changes_stays_with_it() -> None:
    seen: dict[str, int] = {}
    assert run_forked(lambda: seen.setdefault("code", 4), b"").code == 4
    assert seen == {}


def test_our_files_are_not_its_own(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as stream:
        number = stream.fileno()

        def action() -> int:
            try:
                os.fstat(number)
            except OSError:
                return 5
            return 0

        assert run_forked(action, b"").code == 5


def test_one_that_raises_ends_with_a_code_and_its_words() -> None:
    done = run_forked(lambda: 1 // 0, b"")
    assert done.code == 70
    assert b"ZeroDivisionError" in done.stderr


def test_one_that_is_killed() -> None:
    def action() -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert run_forked(action, b"").code == -signal.SIGKILL


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_nothing_stays_open() -> None:
    before = open_files()
    assert run_forked(lambda: 0, b"abc").code == 0
    assert open_files() == before


def test_without_room_for_another_file_nothing_is_run() -> None:
    before = open_files()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(each.name) for each in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, limits[1]))
    fillers: list[int] = []
    try:
        while open_files() <= highest + 1:  # that takes one to count them
            fillers.append(os.dup(0))
        with pytest.raises(KernelError, match="fork failed: EMFILE"):
            run_forked(lambda: 0, b"")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        for each in fillers:
            os.close(each)
    assert open_files() == before


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_it_is_ended_when_we_are_interrupted(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def interrupt() -> int:
        note.write_text(str(os.getpid()))
        time.sleep(0.2)  # until we wait for it
        os.kill(os.getppid(), signal.SIGINT)  # whichever of our threads takes it
        signal.pause()
        return 0

    done = threading.Event()
    threads = [threading.Thread(target=done.wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run_forked(interrupt, b"")
    finally:
        done.set()
        for thread in threads:
            thread.join()
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
