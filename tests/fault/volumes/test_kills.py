"""Killed before every single change of every operation, then started again: the old state or the new one.

"Change" is each call that alters device-mapper, each device node, mkfs, mount, and each transaction of the catalogue at
its beginning and at its commit. After the kill the machine goes on (a killed daemon) or comes up anew (a power cut).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError
from drystone.dvm.instructions import Message
from drystone.dvm.program import Program
from drystone.dvm.result import Result
from drystone.testing.faults import Killed
from drystone.volumes.cloning import clone
from drystone.volumes.driver import Wish
from drystone.volumes.group_snapshots import create_group
from drystone.volumes.rollback import roll_back
from drystone.volumes.service import Origin

from .world import World


def restore(world: World) -> object:
    def fill(path: Path) -> None:
        world.host.step("restore")
        world.host.kernel.write(path.name, 0, 128)
        world.host.step("restore")

    return world.service.create(Wish("00000000-restored", "restored"), "", Origin("devicemapper", 1 << 20, {}, fill))


def prepare(world: World) -> None:
    world.start()
    world.create("idle")
    world.create("busy")
    world.service.mount("busy")
    world.create("shared")
    world.service.mount("shared", holder="one")
    world.service.create_snapshot("idle", "first")
    world.service.create_snapshot("busy", "second")


OPERATIONS: dict[str, Callable[[World], object]] = {
    "create": lambda world: world.create("new"),
    "restore": restore,
    "delete": lambda world: world.service.delete("idle"),
    "snapshot": lambda world: world.service.create_snapshot("idle", "third"),
    "snapshot of a mounted volume": lambda world: world.service.create_snapshot("busy", "third"),
    "delete a snapshot": lambda world: world.service.delete_snapshot("second"),
    "mount": lambda world: world.service.mount("idle"),
    "umount": lambda world: world.service.umount("busy"),
    "mount for a container": lambda world: world.service.mount("idle", holder="one"),
    "clone": lambda world: clone(world.service, "first", "new"),
    "clone with a new UUID": lambda world: clone(world.service, "second", "new", renew=True),
    "roll back": lambda world: roll_back(world.service, "idle", "first"),
    "snapshots of a group": lambda world: create_group(world.service, ["busy", "idle", "shared"], "group"),
    "the last container's release": lambda world: world.service.release("shared", "one"),
}


def between(world: World, operation: Callable[[World], object]) -> list[object]:
    """The states that may be seen after `operation` was cut short: before, after, and what lies in between."""
    before = world.names()
    operation(world)
    after = world.names()
    if before[1] != after[1] and before[0] != after[0]:
        # A volume that goes with its snapshots loses them one by one, each deletion whole.
        return [before, (before[0], after[1]), after]
    return [before, after]


@pytest.mark.parametrize("reboot", [False, True], ids=["killed", "power-cut"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_killed_before_every_change(tmp_path: Path, name: str, reboot: bool) -> None:
    operation = OPERATIONS[name]
    model = World(tmp_path / "model")
    model.folder.mkdir()
    prepare(model)
    model.host.steps.clear()
    allowed = between(model, operation)
    steps = len(model.host.steps)
    model.check()
    model.catalogue.close()
    assert steps >= 3
    seen = []
    for kill_at in range(1, steps + 1):
        world = World(tmp_path / str(kill_at))
        world.folder.mkdir()
        prepare(world)
        world.host.steps.clear()
        world.host.kill_at = kill_at
        with pytest.raises(Killed):
            operation(world)
        world.restart(reboot=reboot)
        world.check()
        assert world.names() in allowed, f"killed before step {kill_at}"
        seen.append(world.names())
        operation_again(world, operation, before=allowed[0])
        world.catalogue.close()
    assert seen[0] == allowed[0]


def operation_again(world: World, operation: Callable[[World], object], before: object) -> None:
    """What was undone can be done now."""
    if world.names() == before:
        operation(world)
        world.check()


@pytest.mark.parametrize("reboot", [False, True], ids=["killed", "power-cut"])
def test_killed_during_the_first_start(tmp_path: Path, reboot: bool) -> None:
    model = World(tmp_path / "model")
    model.folder.mkdir()
    model.start()
    steps = len(model.host.steps)
    model.catalogue.close()
    for kill_at in range(1, steps + 1):
        world = World(tmp_path / str(kill_at))
        world.folder.mkdir()
        world.host.kill_at = kill_at
        with pytest.raises(Killed):
            world.start()
        world.restart(reboot=reboot)
        world.check()
        world.create("new")
        world.check()
        world.catalogue.close()


def test_killed_during_the_start_after_a_power_cut(tmp_path: Path) -> None:
    model = World(tmp_path / "model")
    model.folder.mkdir()
    prepare(model)
    expected = model.names()
    model.restart(reboot=True)
    steps = len(model.host.steps)
    model.catalogue.close()
    for kill_at in range(1, steps + 1, 2):
        world = World(tmp_path / str(kill_at))
        world.folder.mkdir()
        prepare(world)
        world.catalogue.close()
        world.host.revive(reboot=True)
        world.host.kill_at = kill_at
        with pytest.raises(Killed):
            world.start()
        world.restart(reboot=bool(kill_at % 4 == 1))
        world.check()
        assert world.names() == expected
        world.catalogue.close()


def test_killed_and_killed_again_while_it_mends(tmp_path: Path) -> None:
    """The start that ends a cut-short creation is killed at every step too."""
    kill_first = 9
    model = World(tmp_path / "model")
    model.folder.mkdir()
    prepare(model)
    cut_short(model, kill_first)
    model.restart()
    steps = len(model.host.steps)
    expected = model.names()
    model.catalogue.close()
    for kill_at in range(1, steps + 1):
        world = World(tmp_path / str(kill_at))
        world.folder.mkdir()
        prepare(world)
        cut_short(world, kill_first)
        world.catalogue.close()
        world.host.revive()
        world.host.kill_at = kill_at
        with pytest.raises(Killed):
            world.start()
        world.restart()
        world.check()
        assert world.names() == expected
        world.catalogue.close()


def cut_short(world: World, kill_at: int) -> None:
    world.host.steps.clear()
    world.host.kill_at = kill_at
    with pytest.raises(Killed):
        world.create("new")


@pytest.mark.parametrize("action", ["create", "snapshot", "roll back"])
def test_what_cannot_be_ended_at_a_start_keeps_its_thin_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """Killed between the journal's line and the pool's record, and the start can end nothing: the line has an id that
    nobody else gets, for ending it deletes that id.
    """
    world = World(tmp_path)
    prepare(world)
    idle = world.service.find_volume("idle")
    if action == "create":
        planned = world.service.plan(Wish("00000000-planned", "planned"), "", None)
        world.catalogue.begin_create(planned)
    elif action == "snapshot":
        world.catalogue.begin_create_snapshot(*world.service.plan_snapshot("idle", "planned"))
    else:
        world.catalogue.begin_rollback(idle, replace(idle, facts={"DevID": "6"}))
    with monkeypatch.context() as patch:
        execute = world.host.execute

        def refuse_deletions(program: Program) -> Result:
            if any(isinstance(each, Message) and each.text.startswith("delete") for each in program.instructions):
                raise DrystoneError("no memory")
            return execute(program)

        patch.setattr(world.host, "execute", refuse_deletions)
        world.restart()
    assert len(world.catalogue.list_operations()) == 1
    kept = world.service.create_snapshot("busy", "kept")
    world.restart()
    assert world.catalogue.list_operations() == []
    assert int(kept.facts["DevID"]) in world.host.thin_ids()
    world.check()
