"""Processes that write to a device and check what they read, while something is done to it.

Every block says which block of which volume it is, and how often it had been written; a writer knows the count of each
of its blocks. So at any moment every byte is known, and so is what a snapshot may hold.
"""

from __future__ import annotations

import mmap
import os
import random
import struct
import sys
import time
import traceback
from collections.abc import Callable

from drystone.kernel.blockdev import open_device

BLOCK = 4096
"""Bytes that are written at once."""
LIMIT_S = 60.0
"""Seconds for which a writer may wait for a suspended device."""


def fill(name: str, at: int, count: int) -> bytes:
    """A block that tells what it is."""
    return struct.pack("<8sIQ12x", name.encode(), at, count) * (BLOCK // 32)


def fork(action: Callable[[], int]) -> int:
    """Do something in a process of its own; its pid. It ends with what `action` returns."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = action()
    except BaseException:  # noqa: BLE001 - the parent asks for the exit code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Writer:
    """A process that writes and reads back random blocks of a volume, and knows what all of them hold.

    `shared` holds 64-bit words: whether it is to stop, how many blocks it uses, then the count of each block.
    """

    def __init__(self, name: str, path: str, most: int) -> None:
        self.name, self.path = name, path
        self.shared = memoryview(mmap.mmap(-1, 8 * (2 + most))).cast("Q")
        self.pid = 0
        self.seen = 0

    @property
    def blocks(self) -> int:
        """How many blocks are used."""
        return self.shared[1]

    @property
    def counts(self) -> list[int]:
        """How often each block was written."""
        return self.shared[2 : 2 + self.blocks].tolist()

    def grow(self, size: int) -> None:
        """Use the volume up to `size` bytes."""
        first, last = self.blocks, size // BLOCK
        with open_device(self.path, write=True) as device:
            assert device.size >= size
            device.pwrite(first * BLOCK, b"".join(fill(self.name, at, 1) for at in range(first, last)))
            device.flush()
        for at in range(first, last):
            self.shared[2 + at] = 1
        self.shared[1] = last

    def start(self) -> None:
        """From now on, write."""
        self.shared[0] = 0
        self.pid = fork(self._work)

    def _work(self) -> int:
        chance = random.Random(self.name)  # noqa: S311 - no secret
        buffer = mmap.mmap(-1, BLOCK)
        handle = os.open(self.path, os.O_RDWR | os.O_DIRECT)
        while not self.shared[0]:
            at = chance.randrange(self.blocks)
            buffer[:] = fill(self.name, at, self.shared[2 + at] + 1)
            assert os.pwritev(handle, [buffer], at * BLOCK) == BLOCK
            self.shared[2 + at] += 1
            other = chance.randrange(self.blocks)
            assert os.preadv(handle, [buffer], other * BLOCK) == BLOCK
            assert buffer[:] == fill(self.name, other, self.shared[2 + other]), other
            time.sleep(0.05)
        return 0

    def check_alive(self) -> None:
        """It has found nothing wrong, and goes on writing."""
        limit = time.monotonic() + LIMIT_S
        while sum(self.counts) == self.seen:
            assert os.waitpid(self.pid, os.WNOHANG) == (0, 0), f"the writer of {self.name} has ended"
            assert time.monotonic() < limit, f"the writer of {self.name} is stuck"
            time.sleep(0.01)
        self.seen = sum(self.counts)

    def stop(self) -> None:
        """End it, and compare every byte."""
        self.shared[0] = 1
        pid, self.pid = self.pid, 0
        assert os.waitpid(pid, 0)[1] == 0
        self.verify()

    def verify(self) -> None:
        """Compare every byte with what was written; nothing may be writing."""
        assert [at for at, found in enumerate(self.read(self.path)) if found != self.shared[2 + at]] == []

    def read(self, path: str) -> list[int]:
        """The counts that the blocks of this volume, or of a copy of it, hold."""
        with open_device(path) as device:
            data = device.pread(0, self.blocks * BLOCK)
        found = []
        for at in range(self.blocks):
            block = data[at * BLOCK : (at + 1) * BLOCK]
            (count,) = struct.unpack_from("<Q", block, 12)
            assert block == fill(self.name, at, count), f"{path}: block {at} is no block of {self.name}"
            found.append(count)
        return found
