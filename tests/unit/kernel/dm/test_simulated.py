"""What the simulation has beyond the Protocol: copies, restarts, waits, failures below, writes through layers."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from drystone.base.errors import KernelError, TimedOutError
from drystone.kernel.dm.abc import DeviceInfo, DeviceNumber, TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.kernel.dm.statuses import EraStatus, SnapshotStatus, ThinPoolStatus, ThinStatus

A, B, C = (DeviceNumber(7, minor) for minor in range(3))
BLOCK = 128


@pytest.fixture
def dm() -> SimulatedDeviceMapper:
    return SimulatedDeviceMapper({A: 8192, B: 1 << 20, C: 1 << 20})


def make(dm: SimulatedDeviceMapper, name: str, *table: tuple[int, str, str]) -> DeviceInfo:
    dm.create(name)
    start, lines = 0, []
    for length, target, params in table:
        lines.append(TableLine(start, length, target, params))
        start += length
    dm.load(name, lines)
    return dm.resume(name)


def make_pool(dm: SimulatedDeviceMapper, blocks: int = 64, features: str = "0") -> DeviceInfo:
    """A pool on linear devices, with one thin device that is called thin."""
    metadata = make(dm, "metadata", (4096, "linear", f"{A} 1024"))
    data = make(dm, "data", (blocks * BLOCK, "linear", f"{B} 0"))
    pool = make(dm, "pool", (blocks * BLOCK, "thin-pool", f"{metadata.number} {data.number} {BLOCK} 0 {features}"))
    dm.message("pool", "create_thin 0")
    make(dm, "thin", (1 << 16, "thin", f"{pool.number} 0"))
    return pool


def pool_status(dm: SimulatedDeviceMapper) -> ThinPoolStatus:
    status = ThinPoolStatus.parse(dm.status("pool")[0].text)
    assert isinstance(status, ThinPoolStatus)
    return status


def errno_of(call: Callable[[], object]) -> int:
    with pytest.raises(KernelError) as caught:
        call()
    return caught.value.errno


def test_constructor_gives_an_empty_machine(dm: SimulatedDeviceMapper) -> None:
    assert dm.list_devices() == []
    assert dm.version() >= (4, 0, 0)


def test_an_error_keeps_its_facts(dm: SimulatedDeviceMapper) -> None:
    with pytest.raises(KernelError) as caught:
        dm.message("none", "hello")
    facts = caught.value.facts
    assert (facts["operation"], facts["device"], facts["errno_name"]) == ("message", "none", "ENXIO")
    assert facts["text"] == "hello"


def test_a_copy_goes_its_own_way(dm: SimulatedDeviceMapper) -> None:
    make_pool(dm)
    other = dm.copy()
    other.write("thin", 0, 10 * BLOCK)
    other.message("pool", "set_transaction_id 0 1")
    other.suspend("pool")
    other.create("more")
    assert (pool_status(dm).used_data, pool_status(dm).transaction_id) == (0, 0)
    assert not dm.info("pool").suspended
    assert [each.name for each in dm.list_devices()] == ["data", "metadata", "pool", "thin"]
    assert pool_status(other).used_data == 10


def test_a_restart_keeps_what_is_stored(dm: SimulatedDeviceMapper) -> None:
    make_pool(dm)
    dm.write("thin", 0, 8)
    dm.message("pool", "set_transaction_id 0 3")
    after = dm.reboot()
    assert after.list_devices() == []
    metadata = make(after, "metadata", (4096, "linear", f"{A} 1024"))
    make(after, "pool", (64 * BLOCK, "thin-pool", f"{metadata.number} {B} {BLOCK} 0"))
    assert (pool_status(after).transaction_id, pool_status(after).used_data) == (3, 1)
    assert dm.info("thin").live_table


def test_metadata_is_found_by_its_place_on_the_disk(dm: SimulatedDeviceMapper) -> None:
    make_pool(dm)
    for name in ("thin", "pool", "metadata"):
        dm.remove(name)
    direct = make(dm, "other", (1024, "linear", f"{A} 0"), (4096, "linear", f"{A} 1024"))
    again = make(dm, "metadata", (4096, "linear", f"{direct.number} 1024"))
    make(dm, "pool", (64 * BLOCK, "thin-pool", f"{again.number} {B} {BLOCK} 0"))
    assert errno_of(lambda: dm.message("pool", "create_thin 0")) == errno.EEXIST


def test_wiped_metadata_is_formatted_again(dm: SimulatedDeviceMapper) -> None:
    make_pool(dm)
    dm.remove("thin")
    dm.remove("pool")
    dm.write("metadata", 0, 8, zeros=True)
    number, data = dm.info("metadata").number, dm.info("data").number
    make(dm, "pool", (64 * BLOCK, "thin-pool", f"{number} {data} {BLOCK} 0"))
    dm.message("pool", "create_thin 0")


@pytest.mark.parametrize("below", ["metadata", "data"])
def test_a_pool_above_a_suspended_device_waits(dm: SimulatedDeviceMapper, below: str) -> None:
    make_pool(dm)
    dm.suspend(below)
    before = dm.copy().machine
    for call in (
        lambda: dm.message("pool", "create_thin 1"),
        lambda: dm.suspend("pool"),
        lambda: dm.write("thin", 0, 8) if below == "data" else dm.status("pool"),
    ):
        with pytest.raises(TimedOutError):
            call()
        assert dm.machine == before, "a call that would wait is undone"
    dm.resume(below)
    dm.message("pool", "create_thin 1")


def test_a_thin_device_waits_for_its_pool(dm: SimulatedDeviceMapper) -> None:
    make_pool(dm)
    dm.suspend("thin")
    dm.suspend("pool")
    with pytest.raises(TimedOutError):
        dm.resume("thin")
    dm.resume("pool")
    assert not dm.resume("thin").suspended
    dm.suspend("pool")
    for call in (lambda: dm.suspend("thin"), lambda: dm.write("thin", 0, 8)):
        with pytest.raises(TimedOutError):
            call()
    dm.resume("pool")
    dm.write("thin", 0, 8)


def test_a_suspended_era_device_does_not_answer(dm: SimulatedDeviceMapper) -> None:
    make(dm, "era", (4096, "era", f"{A} {B} 64"))
    dm.suspend("era")
    for call in (lambda: dm.status("era"), lambda: dm.message("era", "checkpoint")):
        with pytest.raises(TimedOutError):
            call()
    assert dm.table("era")[0].params == f"{A} {B} 64"
    dm.resume("era")
    status = EraStatus.parse(dm.status("era")[0].text)
    assert isinstance(status, EraStatus)
    assert status.current_era == 2


def test_an_era_table_that_was_loaded_early_is_behind(dm: SimulatedDeviceMapper) -> None:
    make(dm, "era", (4096, "era", f"{A} {B} 64"))
    dm.load("era", [TableLine(0, 4096, "era", f"{A} {B} 64")])
    dm.message("era", "checkpoint")
    dm.message("era", "checkpoint")
    dm.resume("era")
    status = EraStatus.parse(dm.status("era")[0].text)
    assert isinstance(status, EraStatus)
    assert status.current_era == 2, "it was read before the checkpoints"


def test_waiting_without_an_event(dm: SimulatedDeviceMapper) -> None:
    make(dm, "zero", (8, "zero", ""))
    with pytest.raises(TimedOutError):
        dm.wait("zero", 0)
    assert dm.wait("zero", 7).event_nr == 0


def test_a_pool_whose_metadata_cannot_be_written_fails(dm: SimulatedDeviceMapper) -> None:
    pool = make_pool(dm)
    dm.load("metadata", [TableLine(0, 4096, "error")])
    dm.resume("metadata")
    dm.message("pool", "create_thin 1")
    assert (dm.status("pool")[0].text, dm.status("thin")[0].text) == ("Fail", "Fail")
    assert dm.info("pool").event_nr == 1
    assert errno_of(lambda: dm.message("pool", "create_thin 2")) == errno.EOPNOTSUPP
    assert errno_of(lambda: dm.write("thin", 0, 8)) == errno.EIO
    name = dm.create("more").name
    assert errno_of(lambda: dm.load(name, [TableLine(0, 8, "thin", f"{pool.number} 0")])) == errno.EINVAL


def test_a_full_pool_that_queues(dm: SimulatedDeviceMapper) -> None:
    make_pool(dm, blocks=2)
    with pytest.raises(TimedOutError):
        dm.write("thin", 0, 3 * BLOCK)
    status = pool_status(dm)
    assert (status.mode, status.used_data) == ("out_of_data_space", 2)
    dm.discard("thin", 0, BLOCK)
    assert pool_status(dm).mode == "rw"
    dm.write("thin", 2 * BLOCK, 8)


def test_discards_unmap_whole_blocks(dm: SimulatedDeviceMapper) -> None:
    make_pool(dm)
    dm.write("thin", 0, 4 * BLOCK)
    dm.discard("thin", 8, 2 * BLOCK)
    assert ThinStatus.parse(dm.status("thin")[0].text) == ThinStatus(3 * BLOCK, 4 * BLOCK - 1)
    assert errno_of(lambda: dm.discard("data", 0, 8)) == errno.EOPNOTSUPP


def test_a_disk_without_discards(dm: SimulatedDeviceMapper) -> None:
    dm.add_disk(B, 1 << 20, discards=False)
    make_pool(dm)
    assert pool_status(dm).discard == "no_discard_passdown"


def test_a_disk_that_grew(dm: SimulatedDeviceMapper) -> None:
    make(dm, "one", (8192, "linear", f"{A} 0"))
    dm.load("one", [TableLine(0, 16384, "linear", f"{A} 0")])
    dm.add_disk(A, 16384)
    assert dm.resume("one").live_table
    assert dm.table("one")[0].length == 16384


def test_a_merge_gives_the_exceptions_back(dm: SimulatedDeviceMapper) -> None:
    make(dm, "snap", (4096, "snapshot", f"{B} {C} P 8"))
    dm.write("snap", 0, 64)
    dm.suspend("snap")
    dm.create("origin")
    dm.load("origin", [TableLine(0, 4096, "snapshot-merge", f"{B} {C} P 8")])
    dm.resume("origin")
    assert SnapshotStatus.parse(dm.status("origin")[0].text) == SnapshotStatus(16, 1 << 20, 16)
    assert dm.table("origin")[0].params == f"{B} {C} P 8"


def test_open_and_close(dm: SimulatedDeviceMapper) -> None:
    assert errno_of(lambda: dm.open("none")) == errno.ENXIO
    dm.create("bare")
    assert errno_of(lambda: dm.open("bare")) == errno.ENXIO
    make(dm, "one", (8, "linear", f"{A} 0"))
    dm.open("one", exclusive=True)
    assert errno_of(lambda: dm.open("one", exclusive=True)) == errno.EBUSY
    assert errno_of(lambda: dm.open(A, exclusive=True)) == errno.EBUSY
    dm.open("one")
    assert dm.info("one").open_count == 2
    dm.remove("one", deferred=True)
    dm.close("one", exclusive=True)
    dm.close("one")
    assert errno_of(lambda: dm.info("one")) == errno.ENXIO
    assert errno_of(lambda: dm.close("bare")) == errno.EBADF


def test_writes_reach_the_disk_through_every_target(dm: SimulatedDeviceMapper) -> None:
    stripes = make(dm, "stripes", (256, "striped", f"2 16 {A} 0 {B} 64"))
    mirror = make(dm, "mirror", (256, "mirror", f"core 2 64 nosync 2 {stripes.number} 0 {C} 0"))
    top = make(dm, "top", (128, "linear", f"{mirror.number} 0"), (8, "zero", ""), (8, "error", ""))
    dm.write("top", 16, 8)
    assert set(dm.machine.contents) == {(B, 64), (C, 16)}
    dm.write("top", 128, 8)
    assert errno_of(lambda: dm.write(top.number, 136, 8)) == errno.EIO
    assert errno_of(lambda: dm.write(top.number, 144, 8)) == errno.EIO
