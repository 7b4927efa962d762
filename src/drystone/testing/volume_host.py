"""A machine for the driver `devicemapper` without a kernel: simulated device-mapper, file systems as words, mounts.

It can be killed before any of its steps, again and again: `kill_at = 7` lets six changes happen, then raises Killed
from every further one, as a process that is gone does nothing more. What the kernel and the disks hold stays;
`revive(reboot=True)` keeps only the disks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from drystone.backup.ranges import Ranges
from drystone.backup.source import Source
from drystone.backup.thin_source import ThinMap
from drystone.base.errors import NotFoundError
from drystone.dvm.dmexec import execute
from drystone.dvm.instructions import Message
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.kernel.dm.abc import DeviceMapper, DeviceNumber, Ref
from drystone.kernel.dm.simulated.device_mapper import SimulatedDeviceMapper
from drystone.kernel.dm.simulated.thin_metadata import ThinMetadata
from drystone.kernel.mounts import Mount
from drystone.testing.faults import Call, Fault, FaultyDeviceMapper, Killed
from drystone.testing.thin_metadata import write_thin_metadata
from drystone.volumes.drivers.host import BLOCK, Found

DATA, METADATA = "/dev/data", "/dev/metadata"
_MAPPER = "/dev/mapper/"


class PatientClock:
    """Time that passes only when somebody waits."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds


class SimulatedHost:
    """See the module. Sizes in sectors of 512 bytes.

    :ivar steps: names of the changes so far; `kill_at` counts them from 1.
    :ivar users: who has a device, by path, when it is not this simulation's own device-mapper.
    :ivar kinds: what is on a device: by path of a disk, or by thin id. :ivar filled: sectors of the file system there.
    :ivar damage: what a check of the pool's metadata finds.
    :ivar renewed: thin ids whose file systems got UUIDs of their own.
    """

    def __init__(self, data_sectors: int = 1 << 15, metadata_sectors: int = 1 << 13) -> None:
        self.paths = {DATA: DeviceNumber(7, 0), METADATA: DeviceNumber(7, 1)}
        disks = {self.paths[DATA]: data_sectors, self.paths[METADATA]: metadata_sectors}
        self.kernel = SimulatedDeviceMapper(disks)
        self.kill_at: int | None = None
        self.steps: list[str] = []
        self.users: dict[str, str] = {}
        self.kinds: dict[str | int, str] = {}
        self.damage = ""
        self.filled: dict[int, int] = {}
        self.renewed: set[int] = set()
        self.first_blocks: dict[str, bytes] = {}
        self.nodes: dict[str, DeviceNumber] = {}
        self.mounted: list[Mount] = []
        self._faulty = FaultyDeviceMapper(self.kernel, self._fault)

    def step(self, what: str) -> None:
        """A change is about to happen. :raises Killed: it is one too many."""
        self.steps.append(what)
        if self.kill_at is not None and len(self.steps) >= self.kill_at:
            raise Killed

    def revive(self, *, reboot: bool = False) -> None:
        """A new process: nothing is killed any more. With `reboot` only what is on the disks is left."""
        self.kill_at = None
        self.steps.clear()
        if reboot:
            self.kernel = self.kernel.reboot()
            self.nodes.clear()
            self.mounted.clear()
        self._faulty = FaultyDeviceMapper(self.kernel, self._fault)

    def _fault(self, call: Call) -> Fault | None:
        self.step(call.operation)
        return None

    # The Protocol

    @property
    def dm(self) -> DeviceMapper:
        return self._faulty

    def close(self) -> None:
        """Nothing is held."""

    def find_device(self, path: str) -> Found:
        if path not in self.paths:
            raise NotFoundError(f"there is no {path}")
        number = self.paths[path]
        user = self.users.get(path, "")
        for entry in self.kernel.list_devices():
            if number in self.kernel.deps(entry.name):
                user = f"used by {_MAPPER}{entry.name}"
        return Found(path, number, self.kernel.machine.disks[number].sectors * 512, user)

    def read_first_block(self, path: str) -> bytes:
        stored = self.kernel.machine.contents.get((self.paths[path], 0))
        if isinstance(stored, ThinMetadata):
            whole = write_thin_metadata({}, data_block_size=stored.block, transaction_id=stored.transaction_id)
            return whole[:BLOCK]
        return self.first_blocks.get(path, bytes(BLOCK))

    def probe(self, path: str) -> str:
        return self.kinds.get(path if path in self.paths else self._thin_id(path), "")

    def execute(self, program: Program) -> Result:
        result = execute(program, self.dm, clock=PatientClock(), memory=contextlib.nullcontext)
        for each in program.instructions:
            match each.text.split() if isinstance(each, Message) else ():
                case ["create_snap", new, origin] if result.outcome == "done" and int(origin) in self.kinds:
                    self.kinds[int(new)] = self.kinds[int(origin)]
                    self.filled[int(new)] = self.filled[int(origin)]
        return result

    def list_nodes(self) -> list[str]:
        return list(self.nodes)

    def make_node(self, name: str, number: DeviceNumber) -> str:
        self.step("make-node")
        self.nodes[name] = number
        return _MAPPER + name

    def remove_node(self, name: str) -> None:
        self.step("remove-node")
        self.nodes.pop(name, None)

    def make_filesystem(self, kind: str, path: str) -> None:
        self.step("mkfs")
        self.kernel.write(path.removeprefix(_MAPPER), 0, 8)
        self.kinds[self._thin_id(path)] = kind
        self.filled[self._thin_id(path)] = self._sectors(path)

    def grow_filesystem(self, kind: str, path: str, target: str) -> None:
        self.step("grow")
        assert any(each.target == _place(target) and each.kind == kind for each in self.mounted)
        self.filled[self._thin_id(path)] = self._sectors(path)

    def trim(self, target: str) -> int:
        """As if the second half of the device were free."""
        self.step("trim")
        number = next(each.number for each in self.mounted if each.target == _place(target))
        name = next(name for name, each in self.nodes.items() if each == number)
        sectors = self._sectors(_MAPPER + name)
        self.kernel.discard(name, sectors // 2, sectors // 2)
        return sectors // 2 * 512

    def renew_filesystem(self, path: str, place: str) -> None:
        self.mount(path, place, self.probe(path))
        self.unmount(place)
        self.step("renew")
        self.kernel.write(path.removeprefix(_MAPPER), 0, 8)
        self.renewed.add(self._thin_id(path))

    def list_mounts(self) -> list[Mount]:
        return list(self.mounted)

    def mount(self, path: str, target: str, kind: str) -> None:
        self.step("mount")
        number = self.nodes[path.removeprefix(_MAPPER)]
        self.kernel.open(number, exclusive=True)
        self.mounted.append(Mount(1, 0, number, "/", _place(target), (), (), kind, path, ()))

    def unmount(self, target: str) -> None:
        self.step("unmount")
        found = next(each for each in self.mounted if each.target == _place(target))
        self.kernel.close(found.number, exclusive=True)
        self.mounted.remove(found)

    def list_thin_ids(self, path: str, held_root: int) -> set[int]:
        assert path == METADATA
        held = self._metadata.held
        assert held is not None
        assert held.block == held_root
        return set(held.devices)

    def check_metadata(self, path: str) -> str:
        assert path == METADATA
        return self.damage

    def lock_metadata(self, pool: Ref) -> contextlib.AbstractContextManager[None]:
        self.kernel.info(pool)  # nobody else is here
        return contextlib.nullcontext()

    @contextlib.contextmanager
    def read_thin(self, path: str, thin_map: ThinMap) -> Iterator[Source]:
        yield self._blocks(self._sectors(path) * 512, thin_map)

    def list_mapped(self, thin_map: ThinMap) -> Ranges:
        return self._blocks(0, thin_map).extents()

    def _blocks(self, size: int, thin_map: ThinMap) -> _Blocks:
        held = self._metadata.held
        assert held is not None
        assert held.block == thin_map.held_root
        mapped = held.devices[thin_map.device].mappings
        base = held.devices[thin_map.base].mappings if thin_map.base is not None else None
        changed = {
            virtual: place[0]
            for virtual, place in mapped.items()
            if base is None or base.get(virtual, (-1, 0))[0] != place[0]
        }
        return _Blocks(size, self._metadata.block * 512, changed, relative=base is not None)

    # What tests ask

    @property
    def _metadata(self) -> ThinMetadata:
        """The pool's metadata as the kernel has it stored."""
        found = self.kernel.machine.contents[self.paths[METADATA], 0]
        assert isinstance(found, ThinMetadata)
        return found

    def thin_ids(self) -> set[int]:
        """The thin ids that the pool's metadata holds."""
        return set(self._metadata.devices)

    def transaction_id(self) -> int:
        """The transaction id that the pool's metadata holds."""
        return self._metadata.transaction_id

    def held_root(self) -> int | None:
        """The block of the metadata snapshot that the pool holds."""
        held = self._metadata.held
        return held.block if held else None

    def _sectors(self, path: str) -> int:
        return sum(line.length for line in self.kernel.table(path.removeprefix(_MAPPER)))

    def _thin_id(self, path: str) -> int:
        line = self.kernel.table(path.removeprefix(_MAPPER))[0]
        assert line.target == "thin", line
        return int(line.params.split()[1])


class _Blocks:
    """Mapped blocks as a source: each byte of a block is its data block's number, modulo 256."""

    def __init__(self, size: int, block: int, blocks: dict[int, int], *, relative: bool) -> None:
        self.size = size
        self.relative = relative
        self._block = block
        self._blocks = blocks

    def extents(self) -> Ranges:
        """The mapped blocks, in bytes."""
        pairs = [(virtual * self._block, self._block) for virtual in sorted(self._blocks)]
        return np.array(pairs, dtype=np.uint64).reshape(-1, 2)

    def read_into(self, offset: int, buffer: NDArray[np.uint8]) -> None:
        """Fill `buffer` with what is there."""
        places = (np.arange(len(buffer), dtype=np.int64) + offset) // self._block
        numbers = np.array([self._blocks.get(int(each), 0) % 256 for each in np.unique(places)], dtype=np.uint8)
        buffer[:] = numbers[places - places[0]] if len(buffer) else numbers[:0]


def _place(target: str) -> str:
    """As the kernel lists it: without symlinks."""
    return str(Path(target).resolve())
