"""An ihost that is killed at each step while a volume gets larger, or goes back: it has the old one or the new one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from drystone.base.errors import KernelError
from drystone.cluster.model.calls import VolumeWish
from drystone.cluster.model.dlv import Dlv, Snapshot
from drystone.cluster.model.in_sync import standing
from drystone.cluster.model.resizing import plan_rollback, resize, tell_rollback
from drystone.kernel.dm.simulated.thin_metadata import ThinMetadata
from drystone.testing.cluster.bench import DLV, IhostHost, wish_of

from .test_ihost import NAME, attached, make_ihost, withdrawn

MIB = 1 << 20
SNAPSHOT = Snapshot(id="m", name="monday", thin_id=1, size=16 * MIB, status="available")


def make_volume(folder: Path) -> tuple[IhostHost, Dlv]:
    """With the volume attached, a snapshot of its first block, and a second block that was written since."""
    host = make_ihost(folder)
    dlv, wish = attached()
    host.agent.put(wish)
    host.dm.write(NAME, 0, 128)
    dlv = replace(
        dlv, snapshots=(SNAPSHOT,), messages=("create_snap 1 0",), transaction_id=2, epoch=dlv.epoch + 1,
        status="attached",
    )  # fmt: skip
    host.agent.put(standing_wish(dlv))
    host.dm.write(NAME, 128, 128)
    return host, dlv


def standing_wish(dlv: Dlv) -> VolumeWish:
    return wish_of(dlv, standing(dlv))


def pool_of(host: IhostHost) -> ThinMetadata:
    host.dm.status(f"{NAME}:pool")  # a pool commits when it is asked
    found = [each for each in host.dm.machine.contents.values() if isinstance(each, ThinMetadata)]
    return max(found, key=lambda each: (each.transaction_id, each.time, each.next_block))


def blocks(pool: ThinMetadata, thin_id: int) -> set[int]:
    """The virtual blocks that a thin device has."""
    return {*pool.devices[thin_id].mappings} if thin_id in pool.devices else set()


def sizes(host: IhostHost) -> list[int]:
    """Bytes of the final device, and of the thin one."""
    return [sum(line.length for line in host.dm.table(name)) * 512 for name in (NAME, f"{NAME}:thin0")]


def kill_at_each_step(
    folder: Path,
    prepare: Callable[[IhostHost, Dlv], tuple[Dlv, VolumeWish]],
    check_killed: Callable[[IhostHost], None],
    check: Callable[[IhostHost, Dlv], None],
) -> int:
    """In as many hosts as the call has steps; how many. After a kill the agent's own start goes on."""
    at = 0
    while True:
        at += 1
        host, dlv = make_volume(folder / str(at))
        after, wish = prepare(host, dlv)
        is_killed = host.crash(partial(host.agent.put, wish), at)
        if is_killed:
            check_killed(host)
            host.agent.recover()
        host.agent.put(wish)
        check(host, after)
        if not is_killed:
            return at - 1


def test_a_volume_that_gets_larger_has_the_old_size_or_the_new_one_at_each_step(tmp_path: Path) -> None:
    def prepare(host: IhostHost, dlv: Dlv) -> tuple[Dlv, VolumeWish]:
        after = resize(dlv, 64 * MIB, grow_filesystem=True)
        return after, standing_wish(after)

    def check_killed(host: IhostHost) -> None:
        final, thin = sizes(host)
        assert {final, thin} <= {16 * MIB, 64 * MIB}
        assert final <= thin, "what is on it never reaches beyond what is below"
        assert blocks(pool_of(host), 0) == {0, 1}

    def check(host: IhostHost, after: Dlv) -> None:
        assert sizes(host) == [64 * MIB] * 2
        assert blocks(pool_of(host), 0) == {0, 1}
        assert {*host.grown} == {NAME}
        seen = host.agent.look(DLV)
        assert seen.filesystem is not None
        assert (seen.filesystem.fill, seen.filesystem.problem) == (after.fill, "")
        assert all(not device.suspended and not device.inactive for device in seen.state.devices)

    assert kill_at_each_step(tmp_path, prepare, check_killed, check) > 5


def test_a_volume_that_goes_back_is_what_it_was_or_its_snapshot_at_each_step(tmp_path: Path) -> None:
    def prepare(host: IhostHost, dlv: Dlv) -> tuple[Dlv, VolumeWish]:
        host.agent.put(withdrawn(standing_wish(dlv)))
        detached = replace(dlv, attachment=None, status="detached", epoch=dlv.epoch + 1)
        planned = plan_rollback(detached, SNAPSHOT)
        again = replace(planned, attachment=dlv.attachment, epoch=planned.epoch + 1)
        assert again.attachment is not None
        again = replace(again, attachment=replace(again.attachment, epoch=again.epoch))
        host.agent.put(standing_wish(again))
        assert (host.nodes, blocks(pool_of(host), 0)) == ({}, {0, 1}), "nobody can open it meanwhile"
        assert planned.rollback is not None
        after = tell_rollback(again, planned.rollback)
        return after, standing_wish(after)

    def check_killed(host: IhostHost) -> None:
        pool = pool_of(host)
        was, back = blocks(pool, 0) == {0, 1}, blocks(pool, 2) == {0}
        assert was or back
        assert back or pool.transaction_id == 2
        assert blocks(pool, 1) == {0}

    def check(host: IhostHost, after: Dlv) -> None:
        pool = pool_of(host)
        assert {each: blocks(pool, each) for each in pool.devices} == {1: {0}, 2: {0}}
        assert pool.devices[2].mappings == pool.devices[1].mappings
        assert (pool.transaction_id, after.transaction_id) == (3, 3)
        assert [*host.nodes] == [NAME]
        host.dm.write(NAME, 128, 128)
        assert blocks(pool_of(host), 1) == {0}, "the snapshot stays"

    assert kill_at_each_step(tmp_path, prepare, check_killed, check) > 5


def test_a_file_system_is_not_touched_while_its_device_is_not_there(tmp_path: Path) -> None:
    host, dlv = make_volume(tmp_path)
    wish = standing_wish(resize(dlv, 64 * MIB, grow_filesystem=True))
    host.agent.put(replace(withdrawn(wish), fill=wish.fill))
    assert (host.grown, host.agent.look(DLV).filesystem) == ([], None)
    with pytest.raises(KernelError):
        host.dm.info(NAME)
