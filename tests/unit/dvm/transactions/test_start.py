"""Groups become active as a machine starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import BusyError, DrystoneError, KernelError, MismatchError, NotFoundError
from drystone.dvm.discovery.devices import Devices, GroupReference
from drystone.dvm.metadata.create import Wish as NewVolume
from drystone.dvm.metadata.create import create
from drystone.dvm.replication import replicate
from drystone.dvm.transactions.opening import opened
from drystone.dvm.transactions.start import (
    Activated,
    Lacking,
    Started,
    Wish,
    render_text,
    start,
    start_all,
    wait_for,
)
from drystone.dvm.transactions.version import build_version
from drystone.testing.live_groups import FileGroup

MIB = 1 << 20


@pytest.fixture
def world(tmp_path: Path) -> FileGroup:
    """`here` on the first disk, `safe` on both, and nothing active."""
    world = FileGroup(tmp_path)
    world.update(lambda group: create(group, NewVolume("here", MIB, devices=(world.paths[0],)), world.ids))
    world.update(lambda group: create(group, NewVolume("there", MIB, devices=(world.paths[1],)), world.ids))
    world.update(lambda group: create(group, NewVolume("safe", MIB), world.ids, "raid1"))
    world.restart()
    return world


def test_all_volumes_come_and_go(world: FileGroup) -> None:
    rehearsed = start(world.host(), world.devices(), Wish(dry_run=True))
    assert world.active() == []
    started = start(world.host(), world.devices(), Wish())
    assert started.steps == rehearsed.steps
    assert (started.group, started.sequence, started.recovered) == ("vg", 4, False)
    assert {"vg-here", "vg-there", "vg-safe"} <= set(world.active())
    assert start(world.host(), world.devices(), Wish()).steps == ()
    assert start(world.host(), world.devices(), Wish(off=True)).steps
    assert world.active() == []


def test_a_missing_device(world: FileGroup) -> None:
    world.missing = {world.paths[1]}
    with pytest.raises(MismatchError, match="is missing"):
        start(world.host(), world.devices(), Wish())
    started = start(world.host(), world.devices(), Wish(partial=True))
    assert [each.volume for each in started.left_out] == ["there"]
    assert [each.volume for each in started.degraded] == ["safe"]
    assert {"vg-here", "vg-safe"} <= set(world.active())
    assert "vg-there" not in world.active()


def test_two_do_not_start_a_group_at_once(world: FileGroup) -> None:
    with opened(world.devices()):
        with pytest.raises(BusyError):
            start(world.host(), world.devices(), Wish())
        assert start(world.host(), world.devices(), Wish(dry_run=True)).steps
    assert world.active() == []


def prepare_only(world: FileGroup) -> None:
    """As an update that was killed between its two phases."""
    with opened(world.devices(), write=True) as survey:
        assert survey.version is not None
        assert survey.head is not None
        devices = [each.opened for each in survey.members]
        replicate.prepare(devices, build_version(survey.version), parent=survey.head.hash)


def test_an_update_that_was_cut_short_is_settled_first(world: FileGroup) -> None:
    prepare_only(world)
    with pytest.raises(MismatchError):
        start(world.host(), world.devices(), Wish(dry_run=True))
    assert start(world.host(), world.devices(), Wish()).recovered
    assert "vg-here" in world.active()


def test_it_is_left_alone_while_a_device_is_missing(world: FileGroup) -> None:
    prepare_only(world)
    world.missing = {world.paths[1]}
    with pytest.raises(DrystoneError):
        start(world.host(), world.devices(), Wish(partial=True))
    world.missing = set()
    assert start(world.host(), world.devices(), Wish()).recovered


def test_devices_are_waited_for(world: FileGroup) -> None:
    world.missing = {world.paths[1]}
    looks = []

    def find() -> Devices:
        looks.append(world.clock.monotonic())
        if len(looks) == 4:
            world.missing = set()
        return world.devices()

    assert wait_for(find, 60, world.clock).missing == ()
    assert looks == [0, 0.5, 1, 1.5]


def test_waiting_has_an_end(world: FileGroup) -> None:
    world.missing = {world.paths[1]}
    assert len(wait_for(world.devices, 5, world.clock).missing) == 1
    assert world.clock.monotonic() == 5
    world.missing = set(world.paths)
    with pytest.raises(NotFoundError):
        wait_for(world.devices, 5, world.clock)


def test_a_group_that_fails_does_not_keep_back_others() -> None:
    def start_one(group: GroupReference) -> Started:
        if group.name == "bad":
            raise MismatchError("broken", hint="mend it")
        if group.name == "worse":
            raise KernelError("load", 5, device="x")
        return Started(group=group.name)

    done, error = start_all([GroupReference(name, name) for name in ("bad", "good", "worse")], start_one)
    assert [(each.group, each.code) for each in done] == [("bad", "mismatch"), ("good", ""), ("worse", "kernel")]
    assert (done[0].message, done[0].hint) == ("broken", "mend it")
    assert isinstance(error, MismatchError)


def test_a_line_a_group_for_a_journal() -> None:
    done = (
        Started(group="vg", sequence=3),
        Started(
            group="data", sequence=1, steps=("create data-a",), recovered=True, left_out=(Lacking("b", ("d1", "d2")),)
        ),
        Started(group="half", sequence=7, steps=("create x", "resume x"), degraded=(Lacking("x", ("d3",)),)),
        Started(group="none", code="mismatch", message="3 of 4 devices are missing"),
    )
    left_out = "an update that was cut short was finished or undone first; b is left out (missing: d1, d2)"
    assert render_text(Activated(groups=done)) == [
        "vg: version 3, nothing to do",
        f"data: version 1, 1 step taken; {left_out}",
        "half: version 7, 2 steps taken; x is degraded (missing: d3)",
        "none: 3 of 4 devices are missing",
    ]
    assert render_text(Activated(groups=done[2:3], dry_run=True)) == [
        "half: version 7, 2 steps would be taken; x is degraded (missing: d3)",
        "  create x",
        "  resume x",
    ]
