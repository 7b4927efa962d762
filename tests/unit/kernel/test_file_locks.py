"""Locks of parts of files, and who has them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drystone.kernel.file_locks import HeldLock, kill_if, list_locks, lock_byte, parse_locks

_SECONDS = 120
_HOLDS = "import sys; from pathlib import Path; from drystone.kernel.file_locks import lock_byte; "
_HOLDS += "handle = lock_byte(Path(sys.argv[1]), 7); print('held', flush=True); sys.stdin.read()"


def find(path: Path) -> list[HeldLock]:
    return [each for each in list_locks() if each.inode == path.stat().st_ino]


def test_a_lock_is_listed_until_it_ends_and_each_byte_is_one_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDS, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError):
            lock_byte(path, 7)
        assert find(path) == [HeldLock(process.pid, True, path.stat().st_ino, 7, 7)]
        handle = lock_byte(path, 8)
        assert {each.pid for each in find(path)} == {process.pid, os.getpid()}
        os.close(handle)
        assert not kill_if(process.pid, lambda: False)
        assert kill_if(process.pid, lambda: True)
        assert process.wait(_SECONDS) == -signal.SIGKILL
    assert find(path) == []
    assert not kill_if(process.pid, lambda: True)


def test_the_list() -> None:
    text = (
        "1: POSIX  ADVISORY  WRITE 71 08:01:5678 120 120\n"
        "1: -> POSIX  ADVISORY  WRITE 72 08:01:5678 120 120\n"
        "2: POSIX  ADVISORY  READ 73 00:1b:9 0 EOF\n"
        "3: FLOCK  ADVISORY  WRITE 74 08:01:5678 0 EOF\n"
        "4: LEASE  ACTIVE    READ  75 08:01:5 0 EOF\n"
        "5: POSIX  ADVISORY  WRITE 0 08:01:5678 120 120\n"
        "6: OFDLCK ADVISORY  WRITE -1 08:01:5678 0 0\n"
        "nonsense\n"
    )
    first, second = parse_locks(text)
    assert first == HeldLock(71, True, 5678, 120, 120)
    assert (first.covers(120), first.covers(119), first.covers(121)) == (True, False, False)
    assert second == HeldLock(73, False, 9, 0, -1)
    assert second.covers(1 << 40)
