"""A clone at the agent of its ihost: what it may be copied from, and what is said of how far it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from drystone.base.errors import UnavailableError, UsageError
from drystone.cluster.agents.answers import CloneSeen
from drystone.cluster.agents.clones import check_source, see_clone
from drystone.cluster.agents.devices import PREFIX
from drystone.cluster.model.calls import SnapshotKey, VolumeWish, withdrawal_of_volume
from drystone.cluster.model.dlv import COPIED_ID, Dlv, Source
from drystone.cluster.model.in_sync import attach
from drystone.dvm.state import State
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.number import DeviceNumber
from drystone.testing.cluster.bench import HOST, DpvHost, IhostHost, legs_wishes, make_dlv, wish_of
from drystone.testing.cluster.kernels import FailingMirrors

OTHER = "fedcba98-89ab-cdef-0123-456789abcdef"


@pytest.mark.parametrize(
    "source", [SnapshotKey("db", 1), SnapshotKey(OTHER, 0), SnapshotKey(OTHER, COPIED_ID), SnapshotKey("../x", 1)]
)
def test_a_clone_is_copied_from_a_snapshot_of_another_dlv_only(source: SnapshotKey) -> None:
    wish = VolumeWish("db", 1, 1, (), (), State(), source=source)
    with pytest.raises(UsageError):
        check_source(wish)
    assert check_source(replace(wish, source=None)) == ()
    assert check_source(replace(wish, source=SnapshotKey(OTHER, 1))) == (f"/dev/drystone/snapshot/{OTHER}/1",)


def clone_of(source: Source) -> Dlv:
    dlv = replace(make_dlv(), source=source, messages=("create_thin 0", f"create_thin {COPIED_ID}"))
    return attach(dlv, "h1", {leg.id for leg in dlv.legs}).dlv


def test_without_the_snapshot_its_mirrors_stand_and_nothing_above_them(tmp_path: Path) -> None:
    hosts = {name: DpvHost(tmp_path / name, f"127.0.0.1:{3261 + at}") for at, name in enumerate(("dpv0", "dpv1"))}
    ihost = IhostHost(tmp_path / "h1", [*hosts.values()])
    for name, legs in legs_wishes(make_dlv(), [HOST]).items():
        hosts[name].agent.put(legs)
    dlv = clone_of(Source(dlv=OTHER, name="old", snapshot="s", thin_id=1))
    wish = wish_of(dlv, attach(replace(dlv, attachment=None), "h1", {leg.id for leg in dlv.legs}).assemblies)
    ihost.agent.put(withdrawal_of_volume(dlv.id, dlv.epoch - 1, dlv.epoch - 1, 0))
    with pytest.raises(UnavailableError, match="snapshot 1 of dlv fedcba98"):
        ihost.agent.put(wish)
    assert {name.partition(":")[2] for name in ihost.tables()} == {"g0.s0", "g1.s0"}
    # A device of that name without a table is no snapshot yet.
    ihost.dm.create("source", f"{PREFIX}{OTHER}-thin1")
    with pytest.raises(UnavailableError):
        ihost.agent.put(wish)
    ihost.dm.add_disk(DeviceNumber(9, 9), 1 << 15)
    ihost.dm.load("source", [TableLine(0, 1 << 15, "linear", "9:9 0")], read_only=True)
    ihost.dm.resume("source")
    seen = ihost.agent.put(wish)
    assert "clone" in {name.partition(":")[2] for name in ihost.tables()}
    assert seen.clone == CloneSeen(256, 256, 65536, True)


def test_all_is_durable_when_a_commit_says_so_and_not_when_it_is_counted(tmp_path: Path) -> None:
    dm = FailingMirrors()
    for minor in (1, 2, 3):
        dm.add_disk(DeviceNumber(9, minor), 1 << 15)
    assert see_clone(dm, "db") is None
    dm.create("clone", f"{PREFIX}db-clone")
    assert see_clone(dm, "db") is None, "it has no table yet"
    dm.load("clone", [TableLine(0, 1 << 15, "clone", "9:1 9:2 9:3 128")])
    dm.resume("clone")
    dm.hydrated = 255
    assert see_clone(dm, "db") == CloneSeen(255, 256, 65536, False)
    dm.hydrated = None
    assert see_clone(dm, "db") == CloneSeen(256, 256, 65536, True)
    dm.commit_fails = True
    assert see_clone(dm, "db") is None
