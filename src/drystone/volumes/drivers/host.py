"""What the driver `devicemapper` needs of the machine: device-mapper, devices, file systems, mounts.

One Protocol and the real thing. Tests bring a simulated one that can be killed at any call.
"""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from drystone.backup.ranges import Ranges
from drystone.backup.source import Source
from drystone.backup.thin_source import ThinMap, ThinSource, read_extents
from drystone.base.errors import UsageError
from drystone.dvm.dmexec import execute
from drystone.dvm.metadata_snapshot import POOL, locked
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.dvm.text import render_text
from drystone.formats.thin.check import check_metadata
from drystone.formats.thin.devices import read_mapping_roots
from drystone.formats.thin.findings import Severity
from drystone.formats.thin.superblock import read_superblock
from drystone.kernel import filesystems, mounts
from drystone.kernel.blockdev import device_number, open_device, size_of
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber, Ref
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import FOLDER, make_node, node_path, remove_node
from drystone.kernel.mounts import Mount
from drystone.kernel.trimming import trim
from drystone.kernel.users import user_of

log = logging.getLogger(__name__)

BLOCK = 4096
"""Bytes read of a metadata device before anything is done with it."""

_MOUNT_OPTIONS = {
    # A fresh thin volume reads as zeros: writing zeros over its inode tables (1.6 GB of 100 GB) would fill the pool.
    "ext4": "noinit_itable",
    # A restored volume bears the UUID of its original's file system; xfs would refuse to have both mounted.
    "xfs": "nouuid",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A block device that a pool is to use: bytes, number, and who has it now, in words ("" for nobody)."""

    path: str
    number: DeviceNumber
    size: int
    user: str


class Host(Protocol):
    """A machine. Errors are those of drystone.kernel."""

    @property
    def dm(self) -> DeviceMapper:
        """Its device-mapper."""

    def close(self) -> None:
        """Let go of handles."""

    def find_device(self, path: str) -> Found:
        """:raises UsageError: no block device. :raises NotFoundError: no such path."""

    def read_first_block(self, path: str) -> bytes:
        """The first 4096 bytes of a device."""

    def probe(self, path: str) -> str:
        """The kind of what is on a device, such as ext4; "" when nothing is known."""

    def execute(self, program: Program) -> Result:
        """Run a program."""

    def list_nodes(self) -> list[str]:
        """The files in /dev/mapper, whether they lead to a device or not; our names are spelled there as they are."""

    def make_node(self, name: str, number: DeviceNumber) -> str:
        """Have /dev/mapper/NAME."""

    def remove_node(self, name: str) -> None:
        """Have none."""

    def make_filesystem(self, kind: str, path: str) -> None:
        """mkfs."""

    def renew_filesystem(self, path: str, place: str) -> None:
        """Give the file system on a device a UUID of its own; durable when it returns.

        :param place: a folder where it may be mounted meanwhile, which is made and removed. A process that is killed
            may leave it mounted there.
        :raises UnsupportedError: none that is known is on it.
        """

    def list_mounts(self) -> list[Mount]:
        """What is mounted."""

    def mount(self, path: str, target: str, kind: str) -> None:
        """Mount a device at a folder, which is made when it is missing."""

    def unmount(self, target: str) -> None:
        """Unmount."""

    def grow_filesystem(self, kind: str, path: str, target: str) -> None:
        """Make the file system of a device that is mounted at `target` as large as the device."""

    def trim(self, target: str) -> int:
        """Bytes that the file system mounted there gave back."""

    def read_thin(self, path: str, thin_map: ThinMap) -> AbstractContextManager[Source]:
        """The bytes of a thin device for a backup."""

    def list_mapped(self, thin_map: ThinMap) -> Ranges:
        """The byte ranges of a thin device that hold data, or that differ from its base."""

    def list_thin_ids(self, path: str, held_root: int) -> set[int]:
        """The thin ids in a pool's reserved metadata snapshot. DamagedError: it cannot be read."""

    def check_metadata(self, path: str) -> str:
        """What is damaged of a pool's metadata, the worst of it; "" when it is sound. Nobody may use the device."""

    def lock_metadata(self, pool: Ref) -> AbstractContextManager[None]:
        """Be the only process that handles a pool's metadata snapshot. BusyError: another one does."""


class RealHost:
    """This machine."""

    def __init__(self) -> None:
        self._dm = KernelDeviceMapper()

    @property
    def dm(self) -> DeviceMapper:
        return self._dm

    def close(self) -> None:
        self._dm.close()

    def find_device(self, path: str) -> Found:
        number = device_number(path)
        return Found(path, number, size_of(path), user_of(path, number))

    def read_first_block(self, path: str) -> bytes:
        with open_device(path) as device:
            return device.pread(0, BLOCK)

    def probe(self, path: str) -> str:
        found = filesystems.probe(path)
        if found is None:
            return ""
        return found.kind or "a partition table"

    def execute(self, program: Program) -> Result:
        log.debug("program:\n%s", render_text(program))
        result = execute(program, self._dm)
        log.debug("outcome: %s, %d instructions run", result.outcome, len(result.trace))
        return result

    def list_nodes(self) -> list[str]:
        return [path.name for path in Path(FOLDER).iterdir()] if Path(FOLDER).is_dir() else []

    def make_node(self, name: str, number: DeviceNumber) -> str:
        return make_node(name, number)

    def remove_node(self, name: str) -> None:
        remove_node(name)

    def make_filesystem(self, kind: str, path: str) -> None:
        filesystems.make(kind, path)

    def renew_filesystem(self, path: str, place: str) -> None:
        kind = self.probe(path)
        if kind == "xfs":  # what its log holds must be written first, which only mounting it does
            self.mount(path, place, kind)
            self.unmount(place)
            Path(place).rmdir()
        filesystems.renew_uuid(kind, path)

    def list_mounts(self) -> list[Mount]:
        return mounts.list_mounts()

    def mount(self, path: str, target: str, kind: str) -> None:
        try:
            Path(target).mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(f"mount point {target} is no folder") from error
        mounts.mount(path, target, kind, options=_MOUNT_OPTIONS.get(kind, ""))

    def unmount(self, target: str) -> None:
        mounts.unmount(target)

    def grow_filesystem(self, kind: str, path: str, target: str) -> None:
        filesystems.grow(kind, path, target)

    def trim(self, target: str) -> int:
        return trim(target)

    def read_thin(self, path: str, thin_map: ThinMap) -> AbstractContextManager[Source]:
        return ThinSource(path, thin_map)

    def list_mapped(self, thin_map: ThinMap) -> Ranges:
        with open_device(thin_map.metadata) as device:
            return read_extents(device, thin_map)

    def list_thin_ids(self, path: str, held_root: int) -> set[int]:
        with open_device(path) as device:
            return set(read_mapping_roots(device, read_superblock(device, location=held_root)))

    def check_metadata(self, path: str) -> str:
        with open_device(path) as device:
            report = check_metadata(device)
        if mild := report.count(Severity.MILD):
            log.warning("%s: %d faults that cost room only: drystone thin check --auto-repair %s", path, mild, path)
        return report.find_worst().describe() if report.count(Severity.FATAL) else ""

    def lock_metadata(self, pool: Ref) -> AbstractContextManager[None]:
        return locked(self._dm.info(pool), POOL)


def mapper_path(name: str) -> str:
    """The path of a device-mapper device by name."""
    return node_path(name)
