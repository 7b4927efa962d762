"""What a program of an update writes to: block devices and files, by whole pages, without numpy."""

from __future__ import annotations

from drystone.base.errors import UsageError
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.identity import find_place
from drystone.kernel.pages import PAGE, PageDevice, open_pages


class PageBlock:
    """An open device whose bytes are changed within their pages: read, changed, written back as a whole page."""

    def __init__(self, device: PageDevice) -> None:
        self._device = device

    @property
    def size(self) -> int:
        return self._device.pages * PAGE

    def pwrite(self, offset: int, data: bytes) -> None:
        first, behind = offset // PAGE, -(-(offset + len(data)) // PAGE)
        pages = bytearray(self._device.read(first, behind - first))
        pages[offset - first * PAGE : offset - first * PAGE + len(data)] = data
        self._device.write(first, bytes(pages))

    def flush(self) -> None:
        self._device.flush()

    def close(self) -> None:
        self._device.close()


class PageBlocks:
    """The machine's devices, as `dvm.blocks.BlockDevices`."""

    def open(self, path: str) -> PageBlock:
        return PageBlock(open_pages(path, write=True))

    def number(self, path: str) -> DeviceNumber:
        place = find_place(path)
        if not isinstance(place, DeviceNumber):
            raise UsageError(
                f"{path} is a plain file, which device-mapper cannot use", hint="losetup makes a device of it"
            )
        return place
