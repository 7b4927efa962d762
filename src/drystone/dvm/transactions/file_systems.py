"""The file systems on a group's active volumes, looked at and resized by their own programs."""

from __future__ import annotations

from drystone.dvm.planning.resizing import Content
from drystone.kernel import filesystems
from drystone.kernel.blockdev import device_path
from drystone.kernel.dm.abc import DeviceInfo
from drystone.kernel.mounts import mounts_of


class MachineFileSystems:
    """Those of this machine, as `resize.FileSystems`."""

    def look(self, info: DeviceInfo) -> Content:
        mounts = mounts_of(info.number)
        found = filesystems.probe(device_path(info.number))
        target = mounts[-1].target if mounts else ""
        return Content("" if found is None else found.kind, target, in_use=info.open_count > 0)

    def check(self, kind: str, device: str) -> None:
        filesystems.check(kind, device, repair=True)

    def grow(self, kind: str, device: str, target: str) -> None:
        filesystems.grow(kind, device, target)

    def shrink(self, kind: str, device: str, size: int) -> None:
        filesystems.shrink(kind, device, size)

    def path(self, info: DeviceInfo) -> str:
        return device_path(info.number)
