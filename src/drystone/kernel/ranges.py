"""Block devices and plain files as ranges of bytes, read only, without numpy: any offset, any length, to the very end.

Whole pages are read as `kernel.pages` reads them. What a device has beyond its last whole page (a size that is no
multiple of 4096 bytes) is read through the page cache, which takes any length.
"""

from __future__ import annotations

import errno
import os
from typing import Self

from drystone.base.errors import KernelError
from drystone.kernel.pages import PAGE, PageDevice, open_pages


class RangeDevice:
    """An open device or plain file (see `open_ranges`). `read` raises KernelError (facts: operation, device, errno).

    :ivar size: bytes, as it was when opened.
    """

    def __init__(self, pages: PageDevice) -> None:
        self._pages = pages
        self.path = pages.path
        self.size = pages.size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it; a second time is nothing."""
        self._pages.close()

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes at `offset`, which the caller knows to be inside."""
        end, whole = offset + length, self._pages.pages * PAGE
        assert 0 <= offset <= end <= self.size
        first, last = offset // PAGE, -(-min(end, whole) // PAGE)
        found = self._pages.read(first, last - first)[offset - first * PAGE :][:length] if first < last else b""
        return found + self._read_tail(offset + len(found), end) if end > whole else found

    def _read_tail(self, begin: int, end: int) -> bytes:
        """Bytes of the page that is not whole."""
        try:
            handle = os.open(f"/proc/self/fd/{self._pages.handle}", os.O_RDONLY | os.O_CLOEXEC)
            try:
                found = os.pread(handle, end - begin, begin)
            finally:
                os.close(handle)
        except OSError as error:
            raise KernelError("read", error.errno or errno.EIO, device=self.path) from error
        if len(found) != end - begin:
            raise KernelError("read", errno.EIO, device=self.path, hint="the device has become shorter")
        return found


def open_ranges(path: str) -> RangeDevice:
    """Open a block device or a plain file for reading.

    :raises NotFoundError: no such path. :raises UsageError: neither kind. :raises KernelError: it cannot be opened.
    """
    return RangeDevice(open_pages(path))
