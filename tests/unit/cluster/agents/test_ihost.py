"""The agent of an ihost, on simulated kernels: attach, swap, detach, restarts and boots, and kills anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from drystone.base.errors import BusyError, MismatchError, NotFoundError, RefusedError, UnavailableError, UsageError
from drystone.cluster.model.calls import Log, VolumeWish, target_name, withdrawal_of_volume
from drystone.cluster.model.dlv import Dlv, Restore
from drystone.cluster.model.in_sync import Bits, attach, shrink
from drystone.dvm.state import State
from drystone.kernel.iscsi.names import Chap
from drystone.testing.cluster.bench import (
    DLV,
    DPVS,
    HOST,
    DpvHost,
    IhostHost,
    legs_wishes,
    make_dlv,
    secrets_of,
    wish_of,
)

NAME = "drystone-dlv-db"
MIRRORS = (f"{NAME}:g0.s0", f"{NAME}:g1.s0")
LEGS = {"leg-0a", "leg-0b", "leg-1a", "leg-1b"}


def make_ihost(folder: Path) -> IhostHost:
    hosts = [DpvHost(folder / name, each.portal) for name, each in DPVS.items()]
    for host, wish in zip(hosts, legs_wishes(make_dlv()).values(), strict=True):
        host.agent.put(wish)
    return told_of_nothing(IhostHost(folder / "ihost", hosts))


def told_of_nothing(host: IhostHost) -> IhostHost:
    """As before every attachment: what may be here is void."""
    host.agent.put(void(1))
    return host


@pytest.fixture
def host(tmp_path: Path) -> IhostHost:
    return make_ihost(tmp_path)


def attached() -> tuple[Dlv, VolumeWish]:
    """The blank dlv, given to the ihost with all its legs."""
    change = attach(make_dlv(), "ihost", LEGS)
    return change.dlv, wish_of(change.dlv, change.assemblies)


def without(dlv: Dlv, wish: VolumeWish, *lost: str) -> tuple[Dlv, VolumeWish]:
    """The set without these legs, and what the API makes of it: all mirrors, those unchanged with their log kept."""
    change = shrink(dlv, "ihost", dlv.epoch, lost)
    changed = {each.mirror: each for each in change.assemblies}
    kept = [replace(each, bits="kept") for each in attach(make_dlv(), "ihost", LEGS).assemblies]
    return change.dlv, wish_of(change.dlv, [changed.get(each.mirror, each) for each in kept])


def withdrawn(wish: VolumeWish) -> VolumeWish:
    return replace(wish, epoch=wish.epoch + 1, disks=(), logs=(), state=State())


def check_attached(host: IhostHost, wish: VolumeWish) -> None:
    seen = host.agent.look(DLV)
    assert seen.device == f"/dev/mapper/{NAME}"
    assert [*host.nodes] == [NAME]
    assert host.nodes[NAME] == host.dm.info(NAME).number
    assert {each.leg for each in seen.disks} == {each.leg for each in wish.disks}
    assert {target_name(each.leg) for each in wish.disks} == set(host.legs())
    assert {each.name for each in host.dm.list_devices()} == {each.name for each in wish.state.devices}
    assert all(not device.suspended and not device.inactive for device in seen.state.devices)
    assert len(host.logs.names()) == 2
    assert host.agent.survey().unknown == ()
    assert host.agent.survey().troubles == {}


def check_nothing(host: IhostHost) -> None:
    assert host.dm.list_devices() == []
    assert host.legs() == {}
    assert host.logs.names() == []
    assert host.nodes == {}


def test_a_volume_is_put_together(host: IhostHost) -> None:
    _, wish = attached()
    seen = host.agent.put(wish)
    check_attached(host, wish)
    assert [(each.name, each.health) for each in seen.mirrors] == [(name, "AA") for name in MIRRORS]
    assert "nosync 2" in host.tables()[MIRRORS[0]]
    assert host.tables()[f"{NAME}:pool"].startswith("thin-pool")
    assert seen.pool is not None
    assert (seen.pool.transaction_id, seen.pool.used_data, seen.pool.data_blocks) == (1, 0, 128)
    assert 0 < seen.pool.used_metadata < seen.pool.metadata_blocks == 2048


def test_a_volume_is_to_be_filled_while_it_is_wished_and_its_users_have_no_device(host: IhostHost) -> None:
    assert not host.agent.is_to_be_filled(DLV)
    restore = Restore(repository="nightly", volume=DLV, backup=DLV, ihost="ihost")
    change = attach(replace(make_dlv(), restore=restore), "ihost", LEGS)
    wish = wish_of(change.dlv, change.assemblies)
    host.agent.put(wish)
    assert host.agent.is_to_be_filled(DLV)
    assert host.nodes == {}
    host.agent.put(withdrawn(wish))
    assert not host.agent.is_to_be_filled(DLV)


def test_a_volume_that_users_have_is_not_to_be_filled(host: IhostHost) -> None:
    host.agent.put(attached()[1])
    assert not host.agent.is_to_be_filled(DLV)


def test_the_same_call_again_changes_nothing(host: IhostHost) -> None:
    _, wish = attached()
    seen = host.agent.put(wish)
    host.calls.clear()
    assert host.agent.put(wish) == seen
    changing = {call.operation for call in host.calls} & {"create", "load", "resume", "suspend", "remove"}
    assert changing == set()


@pytest.mark.parametrize("bits", ["kept", "clean", "dirty"])
def test_a_repetition_that_tells_otherwise_of_logs_is_the_same_call(host: IhostHost, bits: Bits) -> None:
    dlv, wish = attached()
    kept = [replace(each, bits=bits) for each in attach(make_dlv(), "ihost", LEGS).assemblies]
    again = wish_of(dlv, kept)
    assert again != wish
    seen = host.agent.put(wish)
    logs = dict(host.logs.numbers)
    assert host.agent.put(again) == seen
    assert host.logs.numbers == logs
    check_attached(host, wish)


def test_a_repetition_does_not_begin_logs(host: IhostHost) -> None:
    dlv, _ = attached()
    kept = [replace(each, bits="kept") for each in attach(make_dlv(), "ihost", LEGS).assemblies]
    with pytest.raises(RefusedError):
        host.agent.put(wish_of(dlv, kept))
    assert host.dm.list_devices() == []


def test_epochs(host: IhostHost) -> None:
    _, wish = attached()
    host.agent.put(wish)
    with pytest.raises(MismatchError):
        host.agent.put(replace(wish, epoch=1, set_epoch=1))
    with pytest.raises(MismatchError):
        host.agent.put(replace(withdrawn(wish), epoch=wish.epoch))
    check_attached(host, wish)


def test_a_swap_changes_nothing_but_the_mirror(host: IhostHost) -> None:
    dlv, wish = attached()
    host.agent.put(wish)
    before = host.tables()
    host.dm.fail(host.legs()[target_name("leg-1b")])
    with pytest.raises(UnavailableError):
        host.agent.put(wish)
    assert host.agent.look(DLV).pool is None
    _, smaller = without(dlv, wish, "leg-1b")
    host.calls.clear()
    host.agent.put(smaller)
    after = host.tables()
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {MIRRORS[1], f"{MIRRORS[1]}.gone"}
    assert "handle_errors" not in after[MIRRORS[1]]
    suspended = [(call.arguments["no_flush"], call.arguments["lock_fs"]) for call in host.calls
                 if call.operation == "suspend"]  # fmt: skip
    assert suspended == [(True, False)]
    check_attached(host, smaller)


def test_a_leg_comes_back_with_the_log_that_was_kept(host: IhostHost) -> None:
    dlv, wish = attached()
    host.agent.put(wish)
    logs = host.logs.names()
    smaller_dlv, smaller = without(dlv, wish, "leg-1b")
    host.agent.put(smaller)
    kept = [replace(each, bits="kept") for each in attach(make_dlv(), "ihost", LEGS).assemblies]
    back = wish_of(replace(smaller_dlv, epoch=smaller_dlv.epoch + 1), kept)
    host.agent.put(back)
    assert host.logs.names() == logs
    assert "nosync" not in host.tables()[MIRRORS[1]]
    assert f"{MIRRORS[1]}.gone" not in host.tables()


def test_a_leg_that_is_copied_to_gets_a_log_of_its_own(host: IhostHost) -> None:
    dlv, wish = attached()
    host.agent.put(wish)
    before = host.logs.names()
    smaller_dlv, smaller = without(dlv, wish, "leg-1b")
    host.agent.put(smaller)
    kept = [replace(each, bits="kept") for each in attach(make_dlv(), "ihost", LEGS).assemblies]
    kept[1] = replace(kept[1], sources=("leg-1a",), targets=("leg-1b",), bits="dirty")
    back = wish_of(replace(smaller_dlv, epoch=smaller_dlv.epoch + 1), kept)
    host.agent.put(back)
    (fresh,) = set(host.logs.names()) - set(before)
    assert host.logs.contents[fresh][1024] == 0
    assert set(before) - set(host.logs.names()) == {before[1]}
    check_attached(host, back)


def test_a_table_with_nosync_is_never_swapped_to(host: IhostHost) -> None:
    dlv, wish = attached()
    host.agent.put(wish)
    smaller_dlv, smaller = without(dlv, wish, "leg-1b")
    host.agent.put(smaller)
    before = host.tables()
    with pytest.raises(RefusedError):
        host.agent.put(replace(wish, epoch=smaller_dlv.epoch + 1, set_epoch=smaller_dlv.set_epoch))
    assert host.tables() == before


def test_detaching_flushes_every_leg_and_leaves_nothing(host: IhostHost) -> None:
    _, wish = attached()
    host.agent.put(wish)
    disks = {disk.path for session in host.initiator.sessions() for disk in session.disks}
    host.agent.put(withdrawn(wish))
    check_nothing(host)
    assert sorted(host.flushed) == sorted(disks)
    with pytest.raises(MismatchError):
        host.agent.put(wish)


def test_a_volume_in_use_is_not_detached(host: IhostHost) -> None:
    _, wish = attached()
    host.agent.put(wish)
    host.dm.open(NAME, exclusive=True)
    before = host.tables()
    with pytest.raises(BusyError, match=f"{NAME} is open"):
        host.agent.put(withdrawn(wish))
    assert (host.tables(), [*host.nodes]) == (before, [NAME])
    assert host.flushed == []
    host.dm.close(NAME, exclusive=True)
    host.agent.put(withdrawn(wish))
    check_nothing(host)


def test_a_volume_whose_pool_has_failed_is_detached_in_order(host: IhostHost) -> None:
    _, wish = attached()
    host.agent.put(wish)
    host.dm.pool_failed = True
    host.agent.put(withdrawn(wish))
    check_nothing(host)
    assert len(host.flushed) == len(LEGS)


def test_a_leg_that_cannot_be_flushed_is_not_given_up(host: IhostHost) -> None:
    _, wish = attached()
    host.agent.put(wish)
    dpv = host.hosts[1]
    dpv.lio.enable_target(target_name("leg-1b"), enabled=False)
    with pytest.raises(UnavailableError):
        host.agent.put(withdrawn(wish))
    dpv.lio.enable_target(target_name("leg-1b"))
    host.agent.put(withdrawn(wish))
    check_nothing(host)


def test_after_a_restart_all_is_as_it_was(host: IhostHost) -> None:
    _, wish = attached()
    seen = host.agent.put(wish)
    host.restart()
    host.calls.clear()
    host.agent.recover()
    assert host.agent.look(DLV) == seen
    assert not {call.operation for call in host.calls} & {"create", "load", "resume", "suspend", "remove"}


def test_after_a_boot_nothing_is_put_together(host: IhostHost) -> None:
    """What was under way when it died is on one leg or on the other, and the log that said where is gone."""
    dlv, wish = attached()
    host.agent.put(wish)
    host.boot()
    host.agent.recover()
    later = replace(wish, epoch=wish.epoch + 1)
    for late in (wish, later, withdrawn(wish)):
        with pytest.raises(RefusedError):
            host.agent.put(late)
    assert host.dm.list_devices() == []
    assert "started anew" in host.agent.look(DLV).stopped
    assert [*host.agent.survey().troubles] == [DLV]
    anew = attach(replace(dlv, attachment=None), "ihost", LEGS)
    host.agent.put(wish_of(anew.dlv, anew.assemblies))
    assert host.agent.look(DLV).stopped == ""
    assert all(data[1024:1026] == b"\0\0" for data in host.logs.contents.values())


def test_a_withdrawal_that_was_not_completed_before_a_boot_is_refused(host: IhostHost) -> None:
    _, wish = attached()
    host.agent.put(wish)
    host.dm.open(NAME, exclusive=True)
    with pytest.raises(BusyError):
        host.agent.put(withdrawn(wish))
    host.boot()
    with pytest.raises(RefusedError):
        host.agent.put(withdrawn(wish))


def void(epoch: int) -> VolumeWish:
    """What the host has is of an attachment that was ended without it."""
    return withdrawal_of_volume(DLV, epoch, epoch, epoch)


def attached_anew(dlv: Dlv, epoch: int) -> VolumeWish:
    change = attach(replace(dlv, attachment=None, epoch=epoch), "ihost", LEGS)
    return wish_of(change.dlv, change.assemblies)


def test_a_new_attachment_is_refused_while_the_one_before_stands(host: IhostHost) -> None:
    """It was ended by force, and somebody else wrote since: what this host holds back would go over that."""
    dlv, wish = attached()
    host.agent.put(wish)
    before = host.tables()
    with pytest.raises(RefusedError, match="was not given up"):
        host.agent.put(attached_anew(dlv, 8))
    assert host.tables() == before
    assert host.agent.look(DLV).epoch == wish.epoch


def test_what_an_ended_attachment_held_fails_and_is_not_flushed(host: IhostHost) -> None:
    dlv, wish = attached()
    host.agent.put(wish)
    for dpv in host.hosts:
        for target in dpv.admitted():
            dpv.lio.revoke(target, HOST)
    host.dm.fail(host.legs()[target_name("leg-1b")])
    host.dm.pool_failed = True
    host.dm.open(NAME, exclusive=True)
    with pytest.raises(BusyError, match="is open"):
        host.agent.put(void(7))
    assert [host.tables()[name] for name in MIRRORS] == ["error ", "error "]
    with pytest.raises(RefusedError, match="was not given up"):
        host.agent.put(attached_anew(dlv, 8))
    host.dm.close(NAME, exclusive=True)
    host.agent.put(void(7))
    check_nothing(host)
    assert host.flushed == []
    host.dm.letters.clear()
    host.dm.pool_failed = False
    for dpv, legs in zip(host.hosts, legs_wishes(make_dlv(epoch=8)).values(), strict=True):
        dpv.agent.put(legs)
    again = attached_anew(dlv, 8)
    host.agent.put(again)
    check_attached(host, again)


def test_a_leg_that_is_not_to_be_had_keeps_none_of_the_others(host: IhostHost) -> None:
    _, wish = attached()
    away = target_name("leg-0a")
    host.hosts[0].lio.enable_target(away, enabled=False)
    with pytest.raises(UnavailableError):
        host.agent.put(wish)
    assert {*host.legs()} == {target_name(leg) for leg in LEGS} - {away}
    assert [*host.agent.survey().troubles] == [DLV]
    host.hosts[0].lio.enable_target(away)
    host.agent.put(wish)
    check_attached(host, wish)


def test_a_session_that_does_not_end_keeps_none_of_the_others(host: IhostHost) -> None:
    _, wish = attached()
    host.agent.put(wish)
    host.initiator.stuck.add(target_name("leg-0a"))
    with pytest.raises(UnavailableError):
        host.agent.put(withdrawn(wish))
    assert {*host.legs()} == host.initiator.stuck
    host.initiator.stuck.clear()
    host.agent.put(withdrawn(wish))
    check_nothing(host)


def test_a_log_that_is_gone_is_not_made_anew(host: IhostHost) -> None:
    _, wish = attached()
    host.agent.put(wish)
    host.logs.numbers.clear()
    with pytest.raises(NotFoundError):
        host.agent.put(wish)


def test_a_disk_that_is_not_the_leg_is_not_used(host: IhostHost) -> None:
    _, wish = attached()
    lio = host.hosts[0].lio
    liar = target_name("leg-1a")
    lio.revoke(liar, HOST)
    lio.remove_lun(liar, 0)
    lio.remove_backstore("leg-1a")
    lio.create_backstore("leg-1a", "/dev/dm-1", "5f0c7d9e-8a61-4a55-9d5c-2f6f0e7c1b11")
    lio.add_lun(liar, 0, "leg-1a")
    lio.grant(liar, HOST, Chap("leg-1a", secrets_of(make_dlv())["leg-1a"]), [0])
    with pytest.raises(MismatchError, match="which is not leg leg-1a"):
        host.agent.put(wish)
    assert host.dm.list_devices() == []


def test_what_is_here_is_told_while_the_pool_waits_for_a_disk(host: IhostHost) -> None:
    """A leg has gone, and no write to it has failed yet: the pool's commit hangs, and its status with it."""
    _, wish = attached()
    seen = host.agent.put(wish)
    host.answer_seconds = 0.05
    host.restart()
    inside, out, asked = threading.Event(), threading.Event(), []

    def hang() -> None:
        asked.append(True)
        inside.set()
        assert out.wait(30)

    host.dm.before_pool = hang
    for _ in range(3):
        found = host.agent.look(DLV)
        assert (found.disks, found.mirrors, found.device) == (seen.disks, seen.mirrors, seen.device)
        assert found.pool is None
        assert {each.name for each in found.state.devices} == set(MIRRORS)
    assert inside.wait(30)
    assert len(asked) == 1, "one thread waits, and no more are sent after it"
    host.dm.before_pool = lambda: None
    out.set()
    host.answer_seconds = 10.0
    host.restart()
    assert host.agent.look(DLV) == seen


@pytest.mark.parametrize("name", ["attach", "shrink", "detach", "void"])
def test_it_may_be_killed_at_every_step(tmp_path: Path, name: str) -> None:
    dlv, wish = attached()
    _, smaller = without(dlv, wish, "leg-0b", "leg-1b")
    before, call = {
        "attach": ([], wish),
        "shrink": ([wish], smaller),
        "detach": ([wish], withdrawn(wish)),
        "void": ([wish], void(7)),
    }[name]
    base = make_ihost(tmp_path / "0")
    at = 0
    was_killed = True
    while was_killed:
        at += 1
        host = told_of_nothing(IhostHost(tmp_path / str(at), base.hosts))
        for each in before:
            host.agent.put(each)
        was_killed = host.crash(lambda host=host: host.agent.put(call), at)  # type: ignore[misc]
        begun = {each: host.logs.contents[each] for each in host.logs.names()}
        host.agent.recover()
        assert host.agent.survey().troubles == {}
        host.agent.put(call)
        if name in {"detach", "void"}:
            check_nothing(host)
        else:
            check_attached(host, call)
        if name == "shrink":
            assert host.logs.contents == begun
    assert at > 5


@pytest.mark.parametrize(
    "change",
    [
        lambda wish: replace(wish, dlv=".."),
        lambda wish: replace(wish, epoch=0),
        lambda wish: replace(wish, disks=(*wish.disks, wish.disks[0])),
        lambda wish: replace(wish, disks=wish.disks[1:]),
        lambda wish: replace(wish, disks=(replace(wish.disks[0], portal="nowhere"), *wish.disks[1:])),
        lambda wish: replace(wish, disks=(replace(wish.disks[0], target="iqn.2026-11.org.x:y"), *wish.disks[1:])),
        lambda wish: replace(wish, logs=wish.logs[1:]),
        lambda wish: replace(wish, logs=(*wish.logs, Log(f"/dev/drystone/log/{DLV}/g9.s0", 8, "clean"))),
        lambda wish: replace(wish, logs=(replace(wish.logs[0], path="/dev/sda"), *wish.logs[1:])),
        lambda wish: replace(wish, logs=(replace(wish.logs[0], path=f"/dev/drystone/log/{DLV}/../x"), *wish.logs[1:])),
        lambda wish: replace(
            wish, state=State((replace(wish.state.devices[0], uuid="DRYSTONE-CLUSTER-other-x"),
                               *wish.state.devices[1:]))
        ),
        lambda wish: replace(
            wish, state=State(tuple(
                replace(device, table=tuple(replace(line, params=line.params.replace("/dev/drystone/leg/leg-0a", "8:0"))
                                            for line in device.table))
                for device in wish.state.devices
            ))
        ),
    ],
)  # fmt: skip
def test_a_wish_that_reaches_for_something_else_changes_nothing(
    host: IhostHost, change: Callable[[VolumeWish], VolumeWish]
) -> None:
    with pytest.raises(UsageError):
        host.agent.put(change(attached()[1]))
    assert host.agent.survey().dlvs == {DLV: 1}
    check_nothing(host)
