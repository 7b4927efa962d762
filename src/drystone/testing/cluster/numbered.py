"""Numbered blocks: writers and a reader beside them on one file, and what was acknowledged, for who checks it.

    python -m drystone.testing.cluster.numbered FILE RUN     in the guest that has the volume, until standard input ends

Each block of the file is one register with one writer: a thread writes number after number, each durable before the
next, each to the next block of its own. A block holds its number in every word, so that a torn one is known. What was
acknowledged is printed at once (`a THREAD NUMBER`), so that it is known also when the guest dies a moment later.

The reader reads blocks past the cache, and compares with what the writers know: not older than what was acknowledged
before the read began, nor than what an earlier read saw; not newer than what had been begun when it ended. What is
wrong is printed as `wrong TEXT`, and an error as `error TEXT`. At its end `end`.
"""

from __future__ import annotations

import os
import random
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from drystone.kernel.blockdev import aligned_buffer

BLOCK = 4096
BLOCKS = 1024
"""Of the file."""
THREADS = 2
_STRIDE = 17
"""Blocks from one number to the next: it has no divisor with a thread's share of them."""
_RUN, _THREAD = 1 << 48, 1 << 40
"""What a run and a thread add to a number, so that no two writes are alike."""
_PAUSE = 0.01
"""Seconds between two writes."""


def block_of(thread: int, number: int) -> int:
    """Where a thread writes that number."""
    return number * _STRIDE % (BLOCKS // THREADS) * THREADS + thread


def word_of(run: int, thread: int, number: int) -> int:
    """What the block is full of then. Of one block later writes have larger words."""
    return run * _RUN + thread * _THREAD + number


def is_of(word: int, block: int) -> bool:
    """Whether that word was ever to be written to that block; 0 is what it was made with."""
    thread, number = word % _RUN // _THREAD, word % _THREAD
    return word == 0 or (thread < THREADS and number > 0 and block_of(thread, number) == block)


@dataclass
class History:
    """What was acknowledged, over several runs. :ivar words: of each block, the last one. :ivar wrong: what readers saw
    that cannot be. :ivar errors: that runs met. :ivar count: of acknowledgements.
    """

    words: dict[int, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    count: int = 0

    def take(self, run: int, lines: Iterable[str]) -> None:
        """Note whole lines of a run."""
        for line in lines:
            kind, _, rest = line.partition(" ")
            if kind == "a":
                thread, number = map(int, rest.split())
                self.words[block_of(thread, number)] = word_of(run, thread, number)
                self.count += 1
            elif kind == "wrong":
                self.wrong.append(rest)
            elif kind == "error":
                self.errors.append(rest)

    def check(self, content: NDArray[np.uint8], what: str) -> list[str]:
        """What is wrong with the file's bytes, which are of a time after all that was noted."""
        words = content[: BLOCKS * BLOCK].view(np.uint64).reshape(BLOCKS, -1)
        found = []
        for block in range(BLOCKS):
            word = int(words[block, 0])
            if not (words[block] == words[block, 0]).all():
                found.append(f"{what}: block {block} is torn")
            elif not is_of(word, block):
                found.append(f"{what}: block {block} has {word:#x}, which was never written there")
            elif word < self.words.get(block, 0):
                found.append(f"{what}: block {block} has {word:#x}, acknowledged was {self.words[block]:#x}")
        return found


class Run:
    """Writers and a reader, in the guest."""

    def __init__(self, path: str, run: int) -> None:
        self._path = path
        self._run = run
        self._begun = [0] * BLOCKS
        self._acknowledged = [0] * BLOCKS
        self._print = threading.Lock()
        self._stop = threading.Event()

    def go(self) -> None:
        """Until standard input ends, or a write fails."""
        works: list[Callable[[], None]] = [*(partial(self._write, at) for at in range(THREADS)), self._read]
        threads = [threading.Thread(target=self._guard, args=(work,), daemon=True) for work in works]
        for each in threads:
            each.start()
        threading.Thread(target=self._await_end, daemon=True).start()
        for each in threads:
            each.join()
        self._say("end")

    def _await_end(self) -> None:
        sys.stdin.read()
        self._stop.set()

    def _say(self, line: str) -> None:
        with self._print:
            os.write(1, f"{line}\n".encode())

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            self._say(f"error {error.strerror}")
        finally:
            self._stop.set()

    def _write(self, thread: int) -> None:
        buffer = aligned_buffer(BLOCK)
        handle = os.open(self._path, os.O_WRONLY | os.O_DIRECT | os.O_DSYNC | os.O_CLOEXEC)
        number = 0
        while not self._stop.wait(_PAUSE):
            number += 1
            block, word = block_of(thread, number), word_of(self._run, thread, number)
            buffer.view(np.uint64)[:] = word
            self._begun[block] = word
            if os.pwrite(handle, buffer.data, block * BLOCK) != BLOCK:
                raise OSError(0, "a short write")
            self._acknowledged[block] = word
            self._say(f"a {thread} {number}")
        os.close(handle)

    def _read(self) -> None:
        buffer, seen = aligned_buffer(BLOCK), dict[int, int]()
        handle = os.open(self._path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
        choose = random.Random(self._run)  # noqa: S311 - not for secrets
        while not self._stop.wait(_PAUSE):
            block = choose.randrange(BLOCKS)
            least = max(self._acknowledged[block], seen.get(block, 0))
            os.preadv(handle, [buffer.data], block * BLOCK)
            words = buffer.view(np.uint64)
            word = int(words[0])
            most = self._begun[block]
            if not (words == words[0]).all():
                self._say(f"wrong block {block} was read torn")
            elif word < least or (most and word > most) or not is_of(word, block):
                self._say(f"wrong block {block} was read as {word:#x}, not from {least:#x} to {most:#x}")
            seen[block] = word
        os.close(handle)


if __name__ == "__main__":
    Run(sys.argv[1], int(sys.argv[2])).go()
