"""A body on its way into a temporary file of a disk, summed as it comes."""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import Executor

from drystone.base.errors import ExhaustedError, InternalError, UnavailableError
from drystone.fleet.disk import places
from drystone.fleet.disk.files import Files
from drystone.fleet.disk.health import Trouble
from drystone.fleet.disk.sums import Summing, Sums

WRITE_BACK = 2 << 20
"""Bytes that are written to the disk while the next as many come: at the end, twice as many may be to be written. Also
how long whoever sends may find nothing taken, where many send to one slow disk: see docs/decisions/0110."""


class Incoming:
    """A body that comes in, for one thread at a time. `Disk.receive` makes it.

    It may be abandoned while another thread still writes to it (whoever sent it has gone): the file is closed after
    that write, as its number may be another file's from then on. Nothing of it is durable before `Disk.prepare` or
    `Disk.apply` has taken it.

    :param md5: whether MD5 is wanted. :param beside: where it is summed.
    """

    def __init__(self, files: Files, trouble: Trouble, *, md5: bool, beside: Executor | None) -> None:
        self._handle = -1
        self._files = files
        self._trouble = trouble
        self._summing = Summing(md5=md5, beside=beside)
        self._sums: Sums | None = None
        self._begun = self._written = 0
        self._is_taken = False
        self._using = threading.Lock()
        self.place = places.new_place(places.TEMP)
        with trouble.told("receive"):
            self._handle = files.create(self.place)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._summing.size if self._sums is None else self._sums.size

    def write(self, data: bytes | memoryview) -> None:
        """The next bytes, any number; `data` may be reused when it returns.

        :raises ExhaustedError: the disk is full. :raises UnavailableError: it is bad. Either is the end of the body.
        """
        if self._sums is not None:
            raise InternalError("bytes came after the end of a body")
        with self._using:
            self._check_open()
            try:
                with self._trouble.told("write"):
                    self._files.write(self._handle, data)
                self._summing.update(data)
                if self.size - self._begun >= WRITE_BACK:
                    self._write_back_early()
            except BaseException:
                self._close()  # a part may be there, and no sync tells again what could not be written back
                raise

    def _write_back_early(self) -> None:
        """Have the disk begin with what came last, and wait for what came before that: whoever sends is held up where
        the disk is slow, and not by the sync at the end, for which others wait."""
        with self._trouble.told("write"):
            self._files.begin_write_back(self._handle, self._begun, self.size - self._begun)
            if self._begun > self._written:
                self._files.await_write_back(self._handle, self._written, self._begun - self._written)
        self._written, self._begun = self._begun, self.size

    def finish(self) -> Sums:
        """The sums of all that came. May be called again."""
        if self._sums is None:
            self._sums = self._summing.finish()
        return self._sums

    def copy(self, source: int, begin: int, count: int) -> None:
        """Append `count` bytes of a file, from `begin` on; they are shared on disk where the file system can.

        :raises ExhaustedError: the disk is full. :raises UnavailableError: it is bad, or the file is shorter.
        """
        with self._using:
            self._check_open()
            with self._trouble.told("assemble"):
                self._files.copy(source, self._handle, begin, count)

    def write_back(self) -> None:
        """Make the content durable that came so far, so that the sync at the end does not wait for all of it."""
        with self._using:
            self._check_open()
            with self._trouble.told("sync"):
                self._files.sync(self._handle)

    def take_over(self, sums: Sums) -> None:
        """All was copied; these are the sums of it."""
        self._sums = sums

    def check(self, trouble: Trouble) -> None:
        """:raises UnavailableError: the disk was closed since the body began to come; its file may be gone."""
        if trouble is not self._trouble:
            raise UnavailableError(f"disk {trouble.name} was opened anew while a body came", hint="send it again")

    def secure(self, modified: float) -> None:
        """Give the file its time (seconds since 1970), make its content durable and close it: it is the disk's now."""
        with self._using:
            self._check_open()
            with self._trouble.told("sync"):
                self._files.set_time(self._handle, modified)
                self._files.sync(self._handle)
            self._is_taken = True
            self._close()

    def abandon(self) -> None:
        """Remove the file, unless the disk has taken it over. Harmless when repeated."""
        with self._using:
            self._close()
            if not self._is_taken:
                self._is_taken = True
                with contextlib.suppress(OSError):
                    self._files.unlink(self.place)

    def __del__(self) -> None:
        """Who asked for it may have gone before it was handed over."""
        if self._handle >= 0:
            self.abandon()

    def _check_open(self) -> None:
        if self._handle < 0:
            raise UnavailableError("the body was given up", hint="send it again")

    def _close(self) -> None:
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def check_room(free: int, size: int, reserve: int, name: str) -> None:
    """:raises ExhaustedError: `size` bytes do not fit into `free` when `reserve` are kept for the index."""
    if size + reserve > free:
        raise ExhaustedError(f"disk {name} is full: {free} bytes are free, {reserve} are kept", disk=name)
