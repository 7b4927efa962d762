"""The tables of a dlv: those of the specification to the letter, and a state that device-mapper takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from drystone.cluster.model.cloning import MESSAGES, complete
from drystone.cluster.model.dlv import Dlv, Group, Leg, MirrorKey, Rollback, Snapshot, SnapshotStatus, Source
from drystone.cluster.model.in_sync import Assembly, Bits, attach
from drystone.cluster.model.layout import LONGEST_DLV_NAME
from drystone.cluster.model.tables import REGION, dpv_state, ihost_state
from drystone.dvm.dmactivate import activate
from drystone.dvm.dmexec import execute
from drystone.dvm.references import paths_in
from drystone.dvm.state import Device, State, check_state, observe, resolve_paths
from drystone.kernel.dm.abc import DeviceNumber
from drystone.kernel.dm.simulated import SimulatedDeviceMapper

EXTENT = 8192
"""Sectors."""


def make_dlv(mirrors: int, stripes: int = 1, *, name: str = "db", groups: int = 2) -> Dlv:
    shapes = [
        Group(number=number, role="data" if number else "metadata", stripes=stripes if number else 1, extents=2)
        for number in range(groups)
    ]
    legs = [
        Leg(id=f"{'abc'[place]}{group.number}{key.stripe}", group=group.number, stripe=key.stripe, place=place,
            dpv=f"dpv{place}", extents=2)
        for group in shapes
        for key in group.mirrors
        for place in range(mirrors)
    ]  # fmt: skip
    return Dlv(
        id="01234567-89ab-cdef-0123-456789abcdef",
        name=name,
        dvg="g",
        size=1 << 30,
        initial_size=1,
        mirrors=mirrors,
        stripes=stripes,
        chunk=128,
        block=128,
        groups=tuple(shapes),
        legs=tuple(legs),
    )


def every(dlv: Dlv) -> dict[MirrorKey, Assembly]:
    change = attach(dlv, "host", {leg.id for leg in dlv.legs})
    return {each.mirror: each for each in change.assemblies}


def mirror_of(sources: tuple[str, ...], targets: tuple[str, ...], bits: Bits, mirrors: int = 2) -> dict[str, Device]:
    """The devices of mirror g0.s0 put together so, by what stands after the colon."""
    dlv = make_dlv(mirrors)
    key = MirrorKey(0, 0)
    state = ihost_state(dlv, {**every(dlv), key: Assembly(key, sources, targets, bits)})
    check_state(state)
    return {device.name.partition(":")[2]: device for device in state.devices}


LOG = "/dev/drystone/log/01234567-89ab-cdef-0123-456789abcdef/g0.s0"
A, B, C = (f"/dev/drystone/leg/{each}00" for each in "abc")


@pytest.mark.parametrize(
    ("sources", "targets", "bits", "params"),
    [
        (("a00", "b00"), (), "nosync", f"disk 3 {LOG} {REGION} nosync 2 {A} 0 {B} 0 1 handle_errors"),
        (("a00", "b00"), (), "clean", f"disk 2 {LOG} {REGION} 2 {A} 0 {B} 0 1 handle_errors"),
        (("b00",), (), "kept", f"disk 2 {LOG} {REGION} 2 {B} 0 {{drystone-dlv-db:g0.s0.gone}} 0"),
        (("b00",), ("a00",), "kept", f"disk 2 {LOG} {REGION} 2 {B} 0 {A} 0 1 handle_errors"),
    ],
    ids=["create", "attach", "alone", "return"],
)
def test_tables_of_the_specification(
    sources: tuple[str, ...], targets: tuple[str, ...], bits: Bits, params: str
) -> None:
    (line,) = mirror_of(sources, targets, bits)["g0.s0"].table
    assert (line.start, line.length, line.target, line.params) == (0, 2 * EXTENT, "mirror", params)


def test_who_is_gone_answers_with_errors() -> None:
    devices = mirror_of(("b00",), (), "kept")
    assert [(line.target, line.length) for line in devices["g0.s0.gone"].table] == [("error", 2 * EXTENT)]
    assert "g0.s0.gone" not in mirror_of(("a00", "b00"), (), "clean")


def test_several_in_sync_stay_several_while_another_is_copied() -> None:
    devices = mirror_of(("a00", "b00"), ("c00",), "dirty", mirrors=3)
    inner = "{drystone-dlv-db:g0.s0.whole}"
    assert devices["g0.s0.whole"].table[0].params == f"disk 2 {LOG} {REGION} 2 {A} 0 {B} 0 1 handle_errors"
    assert devices["g0.s0"].table[0].params == f"disk 2 {LOG}.copy {REGION} 2 {inner} 0 {C} 0 1 handle_errors"


def test_when_one_of_several_fails_during_a_copy_the_upper_device_stays_as_it_is() -> None:
    before = mirror_of(("a00", "b00"), ("c00",), "dirty", mirrors=3)
    after = mirror_of(("b00",), ("c00",), "kept", mirrors=3)
    assert after["g0.s0"].table == before["g0.s0"].table
    assert [(line.target, line.params) for line in after["g0.s0.whole"].table] == [("linear", f"{B} 0")]


def test_one_copy_has_no_mirror() -> None:
    dlv = make_dlv(1)
    state = ihost_state(dlv, every(dlv))
    assert {line.target for device in state.devices for line in device.table} == {"linear", "thin-pool", "thin"}


def test_groups_are_stripes_one_after_the_other() -> None:
    dlv = make_dlv(2, stripes=2, groups=3)
    data = ihost_state(dlv, every(dlv)).find("drystone-dlv-db:data")
    assert data is not None
    assert [(line.start, line.length, line.target) for line in data.table] == [
        (0, 4 * EXTENT, "striped"),
        (4 * EXTENT, 4 * EXTENT, "striped"),
    ]
    assert data.table[1].params == "2 128 {drystone-dlv-db:g2.s0} 0 {drystone-dlv-db:g2.s1} 0"


def test_the_longest_names_fit() -> None:
    dlv = make_dlv(2, name="n" * LONGEST_DLV_NAME)
    key = MirrorKey(0, 0)
    check_state(ihost_state(dlv, {**every(dlv), key: Assembly(key, ("a00",), (), "kept")}))


class Disks:
    """Numbers for the paths of a state."""

    def __init__(self) -> None:
        self.numbers: dict[str, DeviceNumber] = {}

    def number(self, path: str) -> DeviceNumber:
        return self.numbers.setdefault(path, DeviceNumber(8, len(self.numbers)))


def realize(state: State) -> tuple[SimulatedDeviceMapper, State]:
    """A device-mapper that was brought to `state`, and the state in numbers."""
    disks = Disks()
    plain = resolve_paths(state, disks.number)
    dm = SimulatedDeviceMapper(dict.fromkeys(disks.numbers.values(), 1 << 20))
    assert bring(dm, plain) == "done"
    return dm, plain


def bring(dm: SimulatedDeviceMapper, desired: State) -> str:
    @contextlib.contextmanager
    def unlocked() -> Iterator[None]:
        yield

    return execute(activate(observe(dm), desired), dm, memory=unlocked).outcome


@pytest.mark.parametrize("mirrors", [1, 2, 3])
@pytest.mark.parametrize("stripes", [1, 3])
def test_device_mapper_takes_the_state_and_then_nothing_is_left_to_do(mirrors: int, stripes: int) -> None:
    dlv = make_dlv(mirrors, stripes, groups=3)
    dm, plain = realize(ihost_state(dlv, every(dlv)))
    volume = observe(dm).find("drystone-dlv-db")
    assert volume is not None
    assert volume.length == (1 << 30) // 512
    assert not activate(observe(dm), plain).instructions


def test_a_snapshot_that_is_opened_is_a_device_of_its_own_once_the_pool_was_told_of_it() -> None:
    statuses: list[SnapshotStatus] = ["planned", "creating", "available", "deleting"]
    snapshots = tuple(
        Snapshot(id=status, name=status, thin_id=at + 1, size=4096, status=status, opened=True)
        for at, status in enumerate(statuses)
    )
    closed = Snapshot(id="closed", name="closed", thin_id=9, size=4096, status="available")
    dlv = replace(make_dlv(2), snapshots=(*snapshots, closed))
    found = {each.name: each for each in ihost_state(dlv, every(dlv)).devices if ":thin" in each.name}
    assert {*found} == {f"drystone-dlv-db:thin{number}" for number in (0, 2, 3)}
    device = found["drystone-dlv-db:thin3"]
    assert [(line.length, line.params) for line in device.table] == [(8, "{drystone-dlv-db:pool} 3")]
    assert (device.read_only, found["drystone-dlv-db:thin0"].read_only) == (True, False)


def test_while_a_rollback_is_pending_there_are_the_opened_snapshots_and_no_volume() -> None:
    snapshot = Snapshot(id="s", name="monday", thin_id=1, size=4096, status="available", opened=True)
    dlv = replace(make_dlv(2), thin_id=2, snapshots=(snapshot,))
    assert {"drystone-dlv-db", "drystone-dlv-db:thin2"} < {each.name for each in ihost_state(dlv, every(dlv)).devices}
    back = replace(dlv, rollback=Rollback(snapshot="s", thin_id=3))
    names = {each.name for each in ihost_state(back, every(back)).devices}
    assert "drystone-dlv-db:thin1" in names
    assert names.isdisjoint({"drystone-dlv-db", "drystone-dlv-db:thin2", "drystone-dlv-db:thin3"})


def test_between_a_clone_and_its_user_stands_a_dm_clone_until_it_is_whole() -> None:
    source = Source(dlv="other", name="old", snapshot="s", thin_id=5)
    dlv = replace(make_dlv(2), size=1 << 28, source=source, messages=MESSAGES)
    before = ihost_state(dlv, every(dlv))
    tables = {each.name.partition(":")[2]: each.table[0].params for each in before.devices}
    assert tables[""] == "{drystone-dlv-db:clone} 0"
    assert tables["clone"] == (
        "{drystone-dlv-db:thin16777215} {drystone-dlv-db:thin0} /dev/drystone/snapshot/other/5 128 0 4 "
        "hydration_threshold 16 hydration_batch_size 4"
    )
    dm, _ = realize(before)
    whole = complete(dlv)
    after = ihost_state(whole, every(whole))
    assert {each.name for each in before.devices} - {each.name for each in after.devices} == {
        "drystone-dlv-db:clone", "drystone-dlv-db:thin16777215",
    }  # fmt: skip
    disks = Disks()
    resolve_paths(before, disks.number)
    assert bring(dm, resolve_paths(after, disks.number)) == "done"
    volume = observe(dm).find("drystone-dlv-db")
    assert volume is not None
    assert volume.table[0].params == "{drystone-dlv-db:thin0} 0"
    pool = observe(dm).find("drystone-dlv-db:pool")
    assert pool is not None
    assert pool.transaction is not None
    assert pool.transaction.transaction_id == 2


def test_a_leg_is_linear_on_its_dpv() -> None:
    (device,) = dpv_state(make_dlv(1).legs[:1]).devices
    assert (device.name, paths_in(device.table[0].params)) == ("drystone-leg-a00", ("/dev/drystone/slice/a00",))
    assert device.length == 2 * EXTENT
