"""Standard input, or any other pipe, as the source of a backup.

Its size is known when it ends. All of it is read, once and in order, and each chunk is compared by its hash with the
base and with what memory has room for of the repository's indexes. A pipe does not tell why it ended: what a program
wrote before it failed is a whole backup of less. In a shell, `set -o pipefail` tells afterwards; then delete the
backup.
"""

from __future__ import annotations

import os
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import KernelError


@runtime_checkable
class Stream(Protocol):
    """Bytes that come one after the other, once; nobody knows how many."""

    def fill(self, buffer: NDArray[np.uint8]) -> int:
        """Read until `buffer` is full or the stream ends; the bytes that were read. Fewer than asked: it has ended."""


class PipeStream:
    """What can be read from an open file descriptor.

    :param name: for messages.
    """

    def __init__(self, handle: int, name: str = "standard input") -> None:
        self._handle = handle
        self._name = name

    def fill(self, buffer: NDArray[np.uint8]) -> int:
        """:raises KernelError: it cannot be read."""
        view = buffer.data
        done = 0
        while done < len(view):
            try:
                count = os.readv(self._handle, [view[done:]])
            except OSError as error:
                raise KernelError("read", error.errno or 0, device=self._name) from error
            if not count:
                break
            done += count
        return done
