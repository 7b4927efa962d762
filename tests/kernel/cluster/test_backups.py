"""Backups of a dlv by its ihost's agent, on a real thin pool that is written to meanwhile; and restores to another."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from drystone.backup.repository import Repository, open_repository
from drystone.base.errors import BusyError, NotFoundError, UnavailableError
from drystone.cluster.agents.backups import Backups
from drystone.cluster.agents.devices import Devices
from drystone.cluster.agents.repositories import Repositories
from drystone.cluster.agents.repository_settings import RepositorySettings
from drystone.cluster.agents.restores import Restores
from drystone.cluster.model.backup import BackupSeen, BackupWish, RestoreWish
from drystone.cluster.model.dlv import Dlv, Group, Leg, Restore
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.model.in_sync import Assembly
from drystone.cluster.model.tables import ihost_state, leg_path
from drystone.dvm.state import resolve_paths
from drystone.kernel import loop
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.number import DeviceNumber
from drystone.store.folder import FolderStore

pytestmark = pytest.mark.lab(memory="384M")

SIZE = 32 << 20
DLV = "01234567-89ab-cdef-0123-456789abcdef"
NEW = "76543210-89ab-cdef-0123-456789abcdef"
BLOCK = 1 << 20


@dataclass
class Pool:
    """A dlv of one copy on loop devices, as its ihost has it."""

    devices: Devices
    dlv: Dlv
    numbers: dict[str, DeviceNumber]
    folder: Path

    def bring(self) -> None:
        """Have the kernel have it as it is recorded."""
        assemblies = {
            key: Assembly(key, (self.dlv.legs_of(key)[0].id,), (), "kept")
            for group in self.dlv.groups
            for key in group.mirrors
        }
        state = resolve_paths(ihost_state(self.dlv, assemblies), self.numbers.__getitem__)
        uuids = {device.uuid for device in state.devices}
        self.devices.bring(self.devices.observe(uuids), state)

    def snapshot(self, thin_id: int) -> None:
        self.dlv = replace(
            self.dlv, messages=(f"create_snap {thin_id} 0",), transaction_id=self.dlv.transaction_id + 1
        )  # fmt: skip
        self.bring()

    def write(self, at: int, text: bytes, length: int = BLOCK) -> None:
        with Path(self.path("volume")).open("r+b") as device:
            device.seek(at)
            device.write(text * (length // len(text)))
            device.flush()
            os.fsync(device.fileno())

    def path(self, part: str) -> str:
        found = next(each for each in self.devices.entries() if each.uuid.endswith(f"{self.dlv.id}-{part}"))
        return f"/dev/dm-{found.number.minor}"

    def backups(self) -> Backups:
        """An agent's, anew."""
        return Backups(self.devices, self.repositories())

    def restores(self) -> Restores:
        """Likewise."""
        return Restores(self.devices, self.repositories(), lambda _: True)

    def repositories(self) -> Repositories:
        settings = {"nightly": RepositorySettings(url=str(self.folder)), "away": RepositorySettings(url="/proc/none")}
        return Repositories(settings)

    def repository(self) -> Repository:
        return open_repository(FolderStore(self.folder))

    def names(self) -> set[str]:
        return {each.name for each in self.devices.entries()}


@contextmanager
def opened(tmp_path: Path, dlv: str, name: str, restore: Restore | None = None) -> Iterator[Pool]:
    groups = (
        Group(number=0, role="metadata", stripes=1, extents=1, blank=False),
        Group(number=1, role="data", stripes=1, extents=10, blank=False),
    )
    legs = tuple(
        Leg(id=f"{name}{group.number}", group=group.number, stripe=0, place=0, dpv="d", extents=group.extents)
        for group in groups
    )
    recorded = Dlv(
        id=dlv, name=name, dvg="g", size=SIZE, initial_size=SIZE, mirrors=1, stripes=1, chunk=128, block=128,
        groups=groups, legs=legs, restore=restore,
    )  # fmt: skip
    with ExitStack() as stack:
        dm = stack.enter_context(KernelDeviceMapper())
        numbers = {}
        for leg in legs:
            file = tmp_path / leg.id
            with file.open("wb") as made:
                made.truncate(leg.extents * EXTENT)
            stack.callback(file.unlink)  # it is in the guest's memory
            numbers[leg_path(leg.id)] = stack.enter_context(loop.hold(str(file))).number
        found = Pool(Devices(dm), recorded, numbers, tmp_path / "repository")
        found.bring()
        try:
            yield found
        finally:
            found.devices.remove_all({each.uuid for each in found.devices.entries() if dlv in each.uuid})


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    with opened(tmp_path, DLV, "db") as found:
        yield found


@pytest.fixture
def empty(pool: Pool, tmp_path: Path) -> Iterator[tuple[Pool, RestoreWish]]:
    """A dlv that is to be filled from a backup of the first one, as its ihost has it, and the wish for that."""
    for at in range(0, 24, 2):
        pool.write(at * BLOCK, bytes([at, 255 - at, 7, at]))
    pool.write(30 * BLOCK + 4096, b"odd.", 8192)
    pool.snapshot(1)
    made = await_end(pool.backups(), wish(1))
    asked = RestoreWish(wish(7).id, NEW, "new", "nightly", DLV, made.backup)
    with opened(tmp_path, NEW, "new", Restore(repository="nightly", volume=DLV, backup=made.backup, ihost="h")) as new:
        yield new, asked


def wish(thin_id: int, repository: str = "nightly") -> BackupWish:
    number = f"00000000-0000-0000-0000-{thin_id:012}"
    return BackupWish(number, DLV, "db", f"backup-{number}", thin_id, SIZE, repository)


def await_end(backups: Backups, asked: BackupWish, until: Callable[[BackupSeen], bool] | None = None) -> BackupSeen:
    return await_run(lambda: backups.put(asked), until)


def await_run(ask: Callable[[], BackupSeen], until: Callable[[BackupSeen], bool] | None = None) -> BackupSeen:
    end = time.monotonic() + 60
    while (seen := ask()).status == "running" and not (until and until(seen)):
        assert time.monotonic() < end, seen
        time.sleep(0.02)
    return seen


def image(pool: Pool, backup: str) -> bytes:
    target = pool.folder.parent / f"image-{backup}"
    pool.repository().restore(DLV, backup, str(target))
    return target.read_bytes()


def expected(**written: tuple[int, bytes]) -> bytes:
    data = bytearray(SIZE)
    for at, text in written.values():
        data[at : at + BLOCK] = text * (BLOCK // len(text))
    return bytes(data)


def test_backups_are_of_the_snapshot_and_the_second_reads_what_differs(pool: Pool) -> None:
    pool.write(0, b"first...")
    pool.write(8 * BLOCK, b"stays...")
    pool.snapshot(1)
    pool.write(0, b"later...")
    backups = pool.backups()
    one = await_end(backups, wish(1))
    assert (one.status, one.reason) == ("finished", "")
    assert image(pool, one.backup) == expected(a=(0, b"first..."), b=(8 * BLOCK, b"stays..."))
    pool.snapshot(2)
    two = await_end(backups, wish(2))
    assert two.status == "finished"
    assert image(pool, two.backup) == expected(a=(0, b"later..."), b=(8 * BLOCK, b"stays..."))
    about = pool.repository().inspect(DLV, two.backup).about
    assert (about["thin.since"], about["cluster.backup"]) == ("1", wish(2).id)
    assert two.total < 3 * BLOCK
    assert not any("backup" in name for name in pool.names())
    # Its answer was lost, and so is the agent: it is found.
    again = await_end(pool.backups(), wish(2))
    assert (again.status, again.backup) == ("finished", two.backup)
    assert len(pool.repository().list(DLV)) == 2


def test_an_agent_that_is_killed_is_followed_by_one_that_goes_on(pool: Pool) -> None:
    for at in range(24):
        pool.write(at * BLOCK, bytes([at, 255 - at, 7, at]))
    pool.snapshot(1)
    killed = os.fork()
    if not killed:
        backups = pool.backups()
        while not backups.put(wish(1)).done:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(killed, 0)[1]) == -signal.SIGKILL
    assert "drystone-dlv-db:backup" in pool.names()
    assert pool.repository().list(DLV) == []
    following = pool.backups()
    following.recover()
    assert "drystone-dlv-db:backup" not in pool.names()
    seen = await_end(following, wish(1))
    assert seen.status == "finished"
    assert image(pool, seen.backup)[:BLOCK] == bytes([0, 255, 7, 0]) * (BLOCK // 4)
    assert pool.repository().verify(DLV, seen.backup)


def test_one_backup_of_a_dlv_at_a_time_until_it_is_stopped(pool: Pool) -> None:
    for at in range(24):
        pool.write(at * BLOCK, bytes([at, 3, 2, 1]))
    pool.snapshot(1)
    backups = pool.backups()
    await_end(backups, wish(1), until=lambda seen: seen.total > 0)
    with pytest.raises(BusyError, match="under way"):
        backups.put(replace(wish(1), id="00000000-0000-0000-0000-000000000009"))
    backups.stop(wish(1).id)
    assert "drystone-dlv-db:backup" not in pool.names()
    with pytest.raises(NotFoundError):
        backups.stop(wish(1).id)


def test_a_dlv_is_left_while_it_is_backed_up(pool: Pool) -> None:
    for at in range(24):
        pool.write(at * BLOCK, bytes([at, 1, 2, 3]))
    pool.snapshot(1)
    backups = pool.backups()
    await_end(backups, wish(1), until=lambda seen: seen.total > 0)
    backups.leave(DLV)
    assert "drystone-dlv-db:backup" not in pool.names()
    assert await_end(backups, wish(1)).status == "finished"


@pytest.mark.parametrize(("repository", "told"), [("none", "no repository 'none'"), ("away", "/proc")])
def test_a_repository_that_cannot_be_used_is_told(pool: Pool, repository: str, told: str) -> None:
    pool.snapshot(1)
    seen = await_end(pool.backups(), wish(1, repository))
    assert seen.status == "failed"
    assert told in seen.reason
    assert not any("backup" in name for name in pool.names())


def held(pool: Pool, part: str) -> bytes:
    return Path(pool.path(part)).read_bytes()


def test_a_restore_by_an_agent_that_is_killed_is_begun_anew_and_nobody_has_the_volume_before(
    pool: Pool, empty: tuple[Pool, RestoreWish]
) -> None:
    new, asked = empty
    killed = os.fork()
    if not killed:
        restores = new.restores()
        while not restores.put(asked).done:
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(killed, 0)[1]) == -signal.SIGKILL
    assert "drystone-dlv-new" not in new.names()
    restores = new.restores()
    seen = await_run(lambda: restores.put(asked))
    assert (seen.status, seen.reason, seen.backup) == ("finished", "", asked.backup)
    assert "drystone-dlv-new" not in new.names()
    new.dlv = replace(new.dlv, restore=None)
    new.bring()
    assert held(new, "volume") == held(pool, "volume")
    # It took the space of 13 chunks of 1 MiB, in blocks of 64 KiB: holes were not written.
    pools = new.devices.dm.status(
        next(each for each in new.devices.entries() if each.uuid.endswith(f"{NEW}-pool")).number
    )
    assert f" {13 * 16}/" in pools[0].text


def test_a_restore_ends_before_its_dlv_is_taken_down(empty: tuple[Pool, RestoreWish]) -> None:
    new, asked = empty
    restores = new.restores()
    await_run(lambda: restores.put(asked), until=lambda seen: seen.total > 0)
    restores.leave(NEW)
    new.devices.remove_all({each.uuid for each in new.devices.entries() if NEW in each.uuid})
    with pytest.raises(UnavailableError, match="is not here"):
        restores.put(asked)
    new.bring()
    assert await_run(lambda: restores.put(asked)).status == "finished"


def test_what_somebody_has_open_is_not_filled(empty: tuple[Pool, RestoreWish]) -> None:
    new, asked = empty
    new.dlv = replace(new.dlv, restore=None)
    new.bring()
    restores = new.restores()
    seen = await_run(lambda: restores.put(asked))
    assert seen.status == "failed"
    assert "in use" in seen.reason
    assert held(new, "volume") == bytes(SIZE)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"repository": "none"}, "no repository 'none'"), ({"backup": NEW}, "no backup")],
)
def test_a_restore_that_cannot_be_is_told(empty: tuple[Pool, RestoreWish], wrong: dict[str, object], told: str) -> None:
    new, asked = empty
    restores = new.restores()
    seen = await_run(lambda: restores.put(replace(asked, **wrong)))
    assert (seen.status, told in seen.reason) == ("failed", True), seen
