"""The agent of a dpv, on a simulated kernel: what it does, what it refuses, and that it may be killed anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from drystone.base.errors import BusyError, DamagedError, DrystoneError, MismatchError, TimedOutError, UsageError
from drystone.cluster.model.calls import Export, LegsWish, target_name
from drystone.dvm.state import State
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.names import Chap
from drystone.kernel.lio.simulated import SimulatedDevice
from drystone.testing.cluster.bench import DLV, HOST, STRANGER, DpvHost, legs_wishes, make_dlv, secrets_of
from drystone.testing.cluster.kernels import SteppedTree

LEGS = ("leg-0a", "leg-1a")


@pytest.fixture
def host(tmp_path: Path) -> DpvHost:
    return DpvHost(tmp_path / "dpv0", "127.0.0.1:3261")


def wish(epoch: int = 1, initiators: tuple[str, ...] = (HOST,)) -> LegsWish:
    return legs_wishes(make_dlv(epoch=epoch), initiators)["dpv0"]


def nothing(epoch: int) -> LegsWish:
    return LegsWish(DLV, epoch, (), State())


def check_settled(host: DpvHost, initiators: tuple[str, ...] = (HOST,)) -> None:
    """All that the wish asks for is there, and nothing else."""
    seen = host.agent.look(DLV)
    assert [(each.leg, each.size, each.is_ready, each.exported) for each in seen.legs] == [
        (leg, 8 << 20, True, True) for leg in LEGS
    ]
    assert host.admitted() == {target_name(leg): [*initiators] for leg in LEGS}
    assert {entry.uuid for entry in host.dm.list_devices()} == {f"DRYSTONE-CLUSTER-leg-{leg}" for leg in LEGS}
    assert all(not device.suspended and not device.inactive for device in seen.state.devices)
    assert {each.leg for each in host.slices.read().slices} == {*LEGS}
    assert host.agent.survey().unknown == ()


def check_nothing(host: DpvHost) -> None:
    assert host.lio.targets() == []
    assert host.lio.backstores() == []
    assert host.dm.list_devices() == []
    assert host.slices.read().slices == ()
    assert host.agent.look(DLV).legs == ()


def test_legs_are_made_and_exported(host: DpvHost) -> None:
    seen = host.agent.put(wish())
    check_settled(host)
    assert seen == host.agent.look(DLV)
    assert seen.epoch == 1
    assert [len(each.table) for each in seen.state.devices] == [1, 1]


def test_only_the_legs_of_the_metadata_group_are_wiped(host: DpvHost) -> None:
    host.agent.put(wish())
    found = host.slices.read().find("leg-0a")
    assert found is not None
    assert host.wiped == [found.pieces[0].start * 8192]


def test_the_same_call_again_changes_nothing(host: DpvHost) -> None:
    seen = host.agent.put(wish())
    host.calls.clear()
    wiped = list(host.wiped)
    before = (host.folder / "notes" / f"{DLV}.json").stat().st_mtime_ns
    assert host.agent.put(wish()) == seen
    assert not {call.operation for call in host.calls} & {"create", "load", "resume", "suspend", "remove"}
    assert host.wiped == wiped
    assert (host.folder / "notes" / f"{DLV}.json").stat().st_mtime_ns == before


def test_who_is_not_let_in_any_more_is_out(host: DpvHost) -> None:
    host.agent.put(wish())
    secret = secrets_of(make_dlv())["leg-0a"]
    host.lio.log_in(HOST, target_name("leg-0a"), host.portal, Chap("leg-0a", secret))
    host.lio.grant(target_name("leg-0a"), STRANGER, Chap("user", "a-secret-of-others"), [0])
    seen = host.agent.put(wish(2, ()))
    check_settled(host, ())
    assert not host.lio.serves(HOST, target_name("leg-0a"))
    assert [each.initiators for each in seen.legs] == [(), ()]


def test_the_fence_is_done_even_when_the_disk_is_gone(host: DpvHost) -> None:
    host.agent.put(wish())
    (host.folder / "disk").unlink()
    with pytest.raises(DrystoneError):
        host.agent.put(wish(2, ()))
    assert host.admitted() == {target_name(leg): [] for leg in LEGS}


def test_a_fence_that_is_late_keeps_no_other_one(host: DpvHost) -> None:
    host.agent.put(wish())
    stuck = (target_name("leg-0a"), HOST)
    host.lio.tree.stalled.add(stuck)
    with pytest.raises(TimedOutError):
        host.agent.put(wish(2, (STRANGER,)))
    assert [*host.agent.survey().troubles] == [DLV]
    assert host.admitted()[target_name("leg-1a")] == []
    assert STRANGER not in host.admitted()[target_name("leg-0a")]
    host.lio.tree.stalled.clear()
    host.agent.put(wish(2, (STRANGER,)))
    check_settled(host, (STRANGER,))
    assert host.agent.survey().troubles == {}


def test_an_older_epoch_is_refused(host: DpvHost) -> None:
    host.agent.put(wish(3, ()))
    for late in (wish(1), wish(2), nothing(2)):
        with pytest.raises(MismatchError, match="is in epoch 3 here, the call is of epoch") as raised:
            host.agent.put(late)
        assert raised.value.facts["epoch"] == 3
    check_settled(host, ())


def test_another_wish_of_the_same_epoch_is_refused(host: DpvHost) -> None:
    host.agent.put(wish(3, ()))
    with pytest.raises(MismatchError):
        host.agent.put(wish(3))
    check_settled(host, ())


def test_epochs_outlive_the_agent(host: DpvHost) -> None:
    host.agent.put(wish(3, ()))
    host.boot()
    with pytest.raises(MismatchError):
        host.agent.put(wish(2))
    assert host.admitted() == {}


def test_a_withdrawn_dlv_leaves_nothing_but_its_epoch(host: DpvHost) -> None:
    host.agent.put(wish())
    host.agent.put(nothing(2))
    check_nothing(host)
    with pytest.raises(MismatchError):
        host.agent.put(wish())


def test_a_dlv_may_come_again(host: DpvHost) -> None:
    for epoch in (1, 3):
        host.agent.put(wish(epoch))
        check_settled(host)
        host.agent.put(nothing(epoch + 1))
        check_nothing(host)
    assert len(host.wiped) == 2


def test_after_a_boot_it_brings_all_there_again_and_lets_nobody_in(host: DpvHost) -> None:
    """Who was let in last may have been shut out by the record, as the dpv was away."""
    seen = host.agent.put(wish())
    slices, wiped = host.slices.read(), list(host.wiped)
    host.boot()
    assert host.lio.targets() == []
    for _ in range(2):
        host.agent.recover()
        check_settled(host, ())
        assert "started anew" in host.agent.look(DLV).stopped
        assert [*host.agent.survey().troubles] == [DLV]
        host.restart()
    assert (host.slices.read(), host.wiped) == (slices, wiped)
    assert host.agent.put(wish()) == seen
    check_settled(host)
    assert host.agent.survey().troubles == {}


def test_after_a_boot_nothing_is_amiss_where_nobody_was_let_in(host: DpvHost) -> None:
    host.agent.put(wish(1, ()))
    host.boot()
    host.agent.recover()
    assert (host.agent.look(DLV).stopped, host.agent.survey().troubles) == ("", {})


def test_after_a_boot_a_newer_call_lets_in_whom_it_names(host: DpvHost) -> None:
    host.agent.put(wish())
    host.boot()
    host.agent.recover()
    assert host.agent.put(wish(2, (STRANGER,))).stopped == ""
    check_settled(host, (STRANGER,))


def test_a_new_agent_in_the_same_boot_lets_in_who_was(host: DpvHost) -> None:
    host.agent.put(wish())
    host.lio.revoke(target_name("leg-0a"), HOST)
    host.restart()
    host.agent.recover()
    check_settled(host)


def test_a_fence_does_not_wait_for_a_disk_that_hangs(host: DpvHost) -> None:
    host.agent.put(wish())
    host.patience = 0
    host.restart()
    inside, out = threading.Event(), threading.Event()
    errors: list[DrystoneError] = []

    def hang() -> None:
        inside.set()
        assert out.wait(30)

    def call() -> None:
        try:
            host.agent.put(wish(2, (HOST, STRANGER)))
        except DrystoneError as error:
            errors.append(error)

    host.slices.before_have = hang
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    assert inside.wait(30)
    with pytest.raises(BusyError):
        host.agent.put(wish(3, ()))
    fenced: dict[str, list[str]] = {target_name(leg): [] for leg in LEGS}
    assert host.admitted() == fenced
    assert [(each.leg, each.initiators) for each in host.agent.look(DLV).legs] == [(leg, ()) for leg in LEGS]
    assert host.agent.look(DLV).epoch == 3
    out.set()
    thread.join(30)
    assert ["went on to epoch 3" in error.message for error in errors] == [True]
    assert host.admitted() == fenced
    host.agent.put(wish(3, ()))
    check_settled(host, ())


def test_who_is_in_is_not_told_while_an_older_call_lets_somebody_in(
    host: DpvHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would say that nobody is, and the older call would make its ACL."""
    host.patience = 0
    host.restart()
    inside, out = threading.Event(), threading.Event()
    make = SteppedTree.make

    def hang(tree: SteppedTree, place: tuple[str, ...]) -> bool:
        if "acls" in place and not inside.is_set():
            inside.set()
            assert out.wait(30)
        return make(tree, place)

    monkeypatch.setattr(SteppedTree, "make", hang)
    thread = threading.Thread(target=host.agent.put, args=(wish(),), daemon=True)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    thread.start()
    assert inside.wait(30)
    with pytest.raises(BusyError):
        host.agent.put(wish(2, ()))
    with pytest.raises(BusyError):
        host.agent.look(DLV)
    out.set()
    thread.join(30)
    seen = host.agent.look(DLV)
    assert (seen.epoch, {name for each in seen.legs for name in each.initiators}) == (2, {HOST})
    host.agent.put(wish(2, ()))
    check_settled(host, ())


def test_what_is_here_is_told_while_the_disk_hangs(host: DpvHost) -> None:
    seen = host.agent.put(wish())
    (host.folder / "disk").unlink()
    assert host.agent.look(DLV) == seen


@pytest.mark.parametrize(
    ("before", "call"),
    [
        pytest.param([], wish(1), id="make"),
        pytest.param([wish(1)], wish(2, (STRANGER,)), id="hand over"),
        pytest.param([wish(1)], nothing(2), id="withdraw"),
    ],
)
def test_it_may_be_killed_at_every_step(tmp_path: Path, before: list[LegsWish], call: LegsWish) -> None:
    at = 0
    was_killed = True
    while was_killed:
        at += 1
        host = DpvHost(tmp_path / str(at), "127.0.0.1:3261")
        for each in before:
            host.agent.put(each)
        in_use = {each.pieces[0].start * 8192 for each in host.slices.read().slices}
        wiped = len(host.wiped)
        was_killed = host.crash(lambda host=host: host.agent.put(call), at)  # type: ignore[misc]
        if host.lio.backstores():
            in_use |= {each.pieces[0].start * 8192 for each in host.slices.read().slices}
            assert host.wiped, "a leg is exported, and was not wiped"
            wiped = len(host.wiped)
        host.agent.recover()
        assert not in_use.intersection(host.wiped[wiped:])
        assert host.agent.survey().troubles == {}
        if call.exports:
            check_settled(host, call.exports[0].initiators)
            metadata = host.slices.read().find("leg-0a")
            assert metadata is not None
            assert metadata.pieces[0].start * 8192 in host.wiped
        else:
            check_nothing(host)
        wiped = len(host.wiped)
        host.agent.put(call)
        assert len(host.wiped) == wiped
    assert at > 5


def test_what_it_does_not_know_it_reports_and_leaves_alone(host: DpvHost) -> None:
    host.agent.put(wish())
    other = target_name("leg-of-others")
    host.lio.create_target(other)
    host.lio.grant(other, STRANGER, Chap("user", "a-secret-of-others"), [])
    host.lio.create_target("iqn.2026-11.org.example:home")
    host.lio.tree.devices["/dev/leg-of-others"] = SimulatedDevice(DeviceNumber(8, 0), 4096)
    host.lio.create_backstore("leg-of-others", "/dev/leg-of-others", "5f0c7d9e-8a61-4a55-9d5c-2f6f0e7c1b11")
    host.dm.create("drystone-leg-lost", "DRYSTONE-CLUSTER-leg-lost")
    host.dm.create("home", "LVM-1")
    host.slices.have("another-dlv", {"leg-lost": 4 << 20}, ["leg-lost"])
    host.agent.put(wish(2, ()))
    host.agent.put(nothing(3))
    host.agent.recover()
    assert host.agent.survey().unknown == (
        f"target {other}",
        "backstore leg-of-others",
        "device drystone-leg-lost",
        "slice leg-lost",
    )
    assert host.admitted() == {other: [STRANGER], "iqn.2026-11.org.example:home": []}
    assert {"drystone-leg-lost", "home"} == {entry.name for entry in host.dm.list_devices()}


def test_a_leg_of_another_dlv_is_not_taken(host: DpvHost) -> None:
    host.agent.put(wish())
    thief = replace(wish(9, (STRANGER,)), dlv="another-dlv")
    with pytest.raises(MismatchError):
        host.agent.put(thief)
    check_settled(host)
    assert host.agent.survey().dlvs == {DLV: 1}


def test_a_note_that_cannot_be_read_is_not_taken_for_none(host: DpvHost) -> None:
    host.agent.put(wish(2, ()))
    (host.folder / "notes" / f"{DLV}.json").write_bytes(b'{"wish"')
    with pytest.raises(DamagedError):
        host.agent.put(wish(3))
    host.agent.recover()
    assert [*host.agent.survey().troubles] == [DLV]
    assert host.admitted() == {target_name(leg): [] for leg in LEGS}


def first(change: Callable[[Export], Export]) -> Callable[[LegsWish], LegsWish]:
    return lambda wish: replace(wish, exports=(change(wish.exports[0]), *wish.exports[1:]))


def renamed_table(old: str, new: str) -> Callable[[LegsWish], LegsWish]:
    def change(wish: LegsWish) -> LegsWish:
        device = wish.state.devices[0]
        line = replace(device.table[0], params=device.table[0].params.replace(old, new))
        return replace(wish, state=State((replace(device, table=(line,)), *wish.state.devices[1:])))

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda wish: replace(wish, dlv="../../etc/passwd"),
        lambda wish: replace(wish, epoch=0),
        lambda wish: replace(wish, epoch=1 << 63),
        lambda wish: replace(wish, exports=wish.exports[:1]),
        lambda wish: replace(wish, exports=(wish.exports[0], wish.exports[0])),
        lambda wish: replace(wish, state=State(wish.state.devices[:1])),
        first(lambda export: replace(export, leg="leg/../x")),
        first(lambda export: replace(export, target="iqn.2026-11.org.example:other")),
        first(lambda export: replace(export, size=4 << 20)),
        first(lambda export: replace(export, size=-1)),
        first(lambda export: replace(export, secret="short")),
        first(lambda export: replace(export, initiators=("../../x",))),
        renamed_table("/dev/drystone/slice/leg-0a", "/dev/sda"),
        renamed_table("/dev/drystone/slice/leg-0a", "8:0"),
        renamed_table("/dev/drystone/slice/leg-0a", "/dev/drystone/slice/leg-1a"),
    ],
)
def test_a_wish_that_reaches_for_something_else_changes_nothing(
    host: DpvHost, change: Callable[[LegsWish], LegsWish]
) -> None:
    with pytest.raises(UsageError):
        host.agent.put(change(wish()))
    assert host.agent.survey().dlvs == {}
    assert host.slices.read().slices == ()
    assert host.lio.targets() == []
