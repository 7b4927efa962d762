"""Open files under numbers that somebody else chose."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from drystone.kernel.fork import fork_away
from drystone.kernel.handles import rearrange


def test_files_get_their_numbers_and_others_are_closed() -> None:
    answer, tell = os.pipe()

    def action() -> int:
        first, second = os.memfd_create("first"), os.memfd_create("second")
        # Crosswise, onto numbers that are in use, and one far above.
        kept = rearrange([first, second, first, 0], [second, first, 7, 300], tell)
        links = {}
        for number in range(400):
            with contextlib.suppress(OSError):
                links[number] = str(Path(f"/proc/self/fd/{number}").readlink())
        assert set(links) == {second, first, 7, 300, kept}
        assert [links[number].split()[0] for number in (second, first, 7)] == [
            "/memfd:first",
            "/memfd:second",
            "/memfd:first",
        ]
        assert kept > 300
        assert os.get_inheritable(7)
        os.write(kept, b"well")
        return 0

    child = fork_away(action)
    os.close(tell)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(answer, 10) == b"well"
    os.close(answer)


def test_what_a_child_raises_ends_it_with_70() -> None:
    def action() -> int:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        raise ValueError

    assert os.waitstatus_to_exitcode(os.waitpid(fork_away(action), 0)[1]) == 70
