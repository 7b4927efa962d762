"""Thin snapshots backed up and restored on a real kernel: full, incremental, discards, sizes within a pool block."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drystone.backup.repository import BackupRequest, Repository, create_repository
from drystone.backup.thin_source import ThinMap, ThinSource
from drystone.backup.tuning import Tuning
from drystone.base.errors import BusyError, MismatchError, UsageError
from drystone.dvm.metadata_snapshot import POOL, held_metadata
from drystone.kernel.blockdev import open_device
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import make_node, node_path, remove_node
from drystone.kernel.dm.statuses import ThinPoolStatus
from drystone.store.folder import FolderStore

pytestmark = pytest.mark.lab(memory="512M", disks=["8M", "192M"])

METADATA, DATA = "/dev/lab/disk0", "/dev/lab/disk1"
VOLUME = "11111111-1111-4111-8111-111111111111"
BLOCK = 256
"""Sectors of a pool block: 128 KiB, two chunks of 64 KiB."""
SIZE = (24 << 20) + 3 * 4096
"""Bytes of the volume: it ends within a pool block, and within a chunk."""
TUNING = Tuning(chunk_size=65536, segment_slots=64, pack=1 << 20)


@dataclass
class Pool:
    """A pool on the lab's disks, and a copy in memory of what volume 0 holds."""

    dm: KernelDeviceMapper
    copy: bytearray

    def message(self, text: str) -> None:
        self.dm.message("pool", text)

    def activate(self, device: int, name: str, size: int = SIZE) -> str:
        self.dm.create(name)
        self.dm.load(name, [TableLine(0, size // 512, "thin", f"{self.dm.info('pool').number} {device}")])
        make_node(name, self.dm.resume(name).number)
        return node_path(name)

    def write(self, offset: int, data: bytes) -> None:
        with open_device(node_path("volume"), write=True) as device:
            device.pwrite(offset, data)
            device.flush()
        self.copy[offset : offset + len(data)] = data

    def discard(self, offset: int, length: int) -> None:
        with open_device(node_path("volume"), write=True) as device:
            device.discard(offset, length)
        self.copy[offset : offset + length] = bytes(length)

    def snapshot(self, device: int) -> str:
        self.dm.suspend("volume")
        self.message(f"create_snap {device} 0")
        self.dm.resume("volume")
        return self.activate(device, f"snapshot{device}")

    def held_root(self) -> int | None:
        status = ThinPoolStatus.parse(self.dm.status("pool")[0].text)
        assert isinstance(status, ThinPoolStatus)
        return status.held_root


@pytest.fixture
def pool() -> Iterator[Pool]:
    with open_device(METADATA, write=True) as device:
        device.zero_out(0, 4096)
    with KernelDeviceMapper() as dm:
        dm.create("pool")
        with open_device(DATA) as device:
            sectors = device.size // 512 // BLOCK * BLOCK
        dm.load("pool", [TableLine(0, sectors, "thin-pool", f"{METADATA} {DATA} {BLOCK} 0")])
        dm.resume("pool")
        made = Pool(dm, bytearray(SIZE))
        made.message("create_thin 0")
        made.activate(0, "volume")
        yield made
        for entry in dm.list_devices():
            if entry.name != "pool":
                dm.remove(entry.name)
                remove_node(entry.name)
        dm.remove("pool")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return create_repository(FolderStore(tmp_path / "store"), tuning=TUNING)


def back_up(pool: Pool, repository: Repository, device: int, base: tuple[int, str] | None = None) -> tuple[str, int]:
    """(backup, bytes read) of the snapshot `device`, which is taken now; `base`: (device, backup)."""
    path = pool.snapshot(device)
    with held_metadata(pool.dm, "pool", POOL) as held_root:
        source = ThinSource(path, ThinMap(METADATA, held_root, device, base[0] if base else None))
        with source:
            assert pool.held_root() == held_root
            made = repository.create(source, BackupRequest(VOLUME, "thin", base[1] if base else ""))
    assert pool.held_root() is None
    assert made.size == SIZE
    return made.backup, made.read


def restored(repository: Repository, backup: str, tmp_path: Path) -> bytes:
    repository.verify(VOLUME, backup)
    target = tmp_path / f"restored-{backup}"
    repository.restore(VOLUME, backup, str(target))
    data = target.read_bytes()
    target.unlink()
    return data


def test_a_chain_of_incrementals(pool: Pool, repository: Repository, tmp_path: Path) -> None:
    rng = random.Random(7)
    pool.write(0, rng.randbytes(1 << 20))
    pool.write(10 << 20, rng.randbytes(3 << 20))
    pool.write(SIZE - 4096, rng.randbytes(4096))
    made: list[tuple[str, bytes]] = []
    backup, read = back_up(pool, repository, 1)
    assert read < 5 << 20, "holes are not read"
    made.append((backup, bytes(pool.copy)))
    for turn in range(2, 7):
        for _ in range(3):
            pool.write(rng.randrange(SIZE // 4096 - 30) * 4096, rng.randbytes(4096 * rng.randrange(1, 30)))
        if turn % 2:
            pool.discard((10 << 20) + (turn << 18), 1 << 18)
        backup, read = back_up(pool, repository, turn, (turn - 1, made[-1][0]))
        assert read < 3 << 20, "an incremental reads what changed"
        made.append((backup, bytes(pool.copy)))
    for backup, copy in made:
        assert restored(repository, backup, tmp_path) == copy
    for victim in (0, 2, 4):
        repository.delete(VOLUME, made[victim][0])
    for backup, copy in (made[1], made[3], made[5]):
        assert restored(repository, backup, tmp_path) == copy


def test_a_full_and_an_incremental_have_one_root(pool: Pool, repository: Repository) -> None:
    pool.write(0, bytes(range(256)) * 4096)
    first, _ = back_up(pool, repository, 1)
    pool.write(300_000 // 4096 * 4096, b"x" * 4096)
    second, _ = back_up(pool, repository, 2, (1, first))
    third, _ = back_up(pool, repository, 3)
    assert repository.inspect(VOLUME, second).root == repository.inspect(VOLUME, third).root


def test_restore_to_thin_devices(pool: Pool, repository: Repository) -> None:
    pool.write(1 << 20, b"y" * (1 << 20))
    backup, _ = back_up(pool, repository, 1)
    pool.message("create_thin 50")
    fresh = pool.activate(50, "fresh")
    used_before = pool.dm.status("fresh")[0].text
    repository.restore(VOLUME, backup, fresh, zeroed=True)
    mapped = int(pool.dm.status("fresh")[0].text.split()[0])
    assert used_before.split()[0] == "0"
    assert mapped * 512 <= (1 << 20) + 2 * BLOCK * 512, "holes stay unmapped"
    with open_device(node_path("volume"), write=True) as device:
        device.pwrite(0, b"z" * (5 << 20))
    repository.restore(VOLUME, backup, node_path("volume"))
    for path in (fresh, node_path("volume")):
        with open_device(path) as device:
            assert device.pread(0, SIZE) == bytes(pool.copy)


def test_targets_that_will_not_do(pool: Pool, repository: Repository) -> None:
    backup, _ = back_up(pool, repository, 1)
    pool.message("create_thin 50")
    pool.activate(50, "smaller", SIZE - 4096)
    pool.message("create_thin 51")
    larger = pool.activate(51, "larger", SIZE + 4096)
    for name in ("smaller", "larger"):
        with pytest.raises(MismatchError):
            repository.restore(VOLUME, backup, node_path(name))
    repository.restore(VOLUME, backup, larger, larger=True)
    with open_device(larger, write=True, exclusive=True), pytest.raises(BusyError):
        repository.restore(VOLUME, backup, larger, larger=True)


def test_a_stale_metadata_snapshot_is_released_first(pool: Pool) -> None:
    pool.message("reserve_metadata_snap")
    stale = pool.held_root()
    assert stale is not None
    pool.write(0, b"x" * 4096)
    with held_metadata(pool.dm, "pool", POOL) as held_root:
        assert pool.held_root() == held_root
    assert pool.held_root() is None


def test_the_metadata_snapshot_is_released_after_an_error(pool: Pool) -> None:
    class TroubleError(Exception):
        pass

    with pytest.raises(TroubleError), held_metadata(pool.dm, "pool", POOL):
        raise TroubleError
    assert pool.held_root() is None
    with pytest.raises(UsageError), held_metadata(pool.dm, "volume", POOL):
        pass
