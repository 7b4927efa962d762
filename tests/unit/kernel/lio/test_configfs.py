"""What LIO is left like when a call is interrupted at any of its steps, and what the next call makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from drystone.base.errors import BusyError, KernelError, MismatchError, TimedOutError
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.names import Chap, Portal
from drystone.kernel.iscsi.simulated import Refusal
from drystone.kernel.lio.abc import Acl
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.kernel.lio.simulated import SimulatedDevice, SimulatedLio, SimulatedTree
from drystone.testing.faults import Killed

IQN, HOST, PORTAL = "iqn.2026-11.org.example:leg", "iqn.2026-11.org.example:ihost", Portal("10.0.0.1")
SERIAL = "5f0c7d9e-8a61-4a55-9d5c-2f6f0e7c1b11"
CHAP = Chap("leg-user", "leg-secret-leg-secret")
DEVICES = {
    "/dev/leg": SimulatedDevice(DeviceNumber(253, 0), 1 << 20),
    "/dev/other": SimulatedDevice(DeviceNumber(253, 1), 1 << 20),
}
STEPS = {"write", "make", "remove", "remove_within", "link", "unlink"}


class InterruptedTree:
    """A tree whose step of that number is not done, and raises; what comes after it raises too when it is a kill."""

    def __init__(self, tree: SimulatedTree, at: int, error: BaseException) -> None:
        self.tree, self.at, self.error = tree, at, error
        self.steps = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.tree, name)
        if name not in STEPS:
            return call

        def step(*args: Any) -> Any:
            self.steps += 1
            if self.steps == self.at or (self.steps > self.at and isinstance(self.error, Killed)):
                raise self.error
            return call(*args)

        return step


def export(lio: ConfigfsLio) -> None:
    lio.create_backstore("leg", "/dev/leg", SERIAL)
    lio.create_target(IQN)
    lio.add_lun(IQN, 0, "leg")
    lio.grant(IQN, HOST, CHAP, [0])
    lio.add_portal(IQN, PORTAL)
    lio.enable_target(IQN)


def withdraw(lio: ConfigfsLio) -> None:
    lio.revoke(IQN, HOST)
    lio.remove_lun(IQN, 0)
    lio.remove_target(IQN)
    lio.remove_backstore("leg")


def interrupted(lio: SimulatedLio, at: int, error: BaseException) -> tuple[ConfigfsLio, InterruptedTree]:
    tree = InterruptedTree(lio.tree, at, error)
    return ConfigfsLio(tree, find_number=lambda path: DEVICES[path].number), tree


def let_in(lio: SimulatedLio, chap: Chap | None) -> bool:
    try:
        lio.log_in(HOST, IQN, PORTAL, chap)
    except Refusal:
        return False
    return True


def each_step(work: Callable[[ConfigfsLio], None], before: Callable[[ConfigfsLio], None] | None = None) -> list[int]:
    """The numbers of its steps."""
    lio = SimulatedLio(DEVICES)
    if before:
        before(lio)
    counted, tree = interrupted(lio, 0, Killed())
    tree.at = 1 << 30
    work(counted)
    assert tree.steps > 6
    return list(range(1, tree.steps + 1))


def make_whole() -> tuple[list[object], list[object]]:
    lio = SimulatedLio(DEVICES)
    export(lio)
    return [*lio.backstores()], [*lio.targets()]


@pytest.mark.parametrize("error", [Killed(), KernelError("configfs write", 5)], ids=["killed", "failed"])
def test_an_export_is_completed_by_the_next_call(error: BaseException) -> None:
    for at in each_step(export):
        lio = SimulatedLio(DEVICES)
        with pytest.raises(type(error)):
            export(interrupted(lio, at, error)[0])
        assert not let_in(lio, None), f"step {at}"
        assert all(target.chap_only for target in lio.targets() if target.enabled), f"step {at}"
        export(lio)
        assert ([*lio.backstores()], [*lio.targets()]) == make_whole(), f"step {at}"
        assert let_in(lio, CHAP)


@pytest.mark.parametrize("error", [Killed(), KernelError("configfs rmdir", 5)], ids=["killed", "failed"])
def test_a_withdrawal_is_completed_by_the_next_call(error: BaseException) -> None:
    for at in each_step(withdraw, export):
        lio = SimulatedLio(DEVICES)
        export(lio)
        with pytest.raises(type(error)):
            withdraw(interrupted(lio, at, error)[0])
        withdraw(lio)
        assert (lio.backstores(), lio.targets()) == ([], []), f"step {at}"


def test_a_backstore_that_fails_is_not_left() -> None:
    for at in range(3, 6):
        lio = SimulatedLio(DEVICES)
        with pytest.raises(KernelError):
            interrupted(lio, at, KernelError("configfs write", 5))[0].create_backstore("leg", "/dev/leg", SERIAL)
        assert lio.backstores() == [], f"step {at}"


def test_a_path_that_leads_elsewhere_meanwhile() -> None:
    lio = SimulatedLio(DEVICES)
    # Between the look and the kernel's own opening the node has become another device's.
    swapped = ConfigfsLio(lio.tree, find_number=lambda _: DEVICES["/dev/other"].number)
    with pytest.raises(MismatchError):
        swapped.create_backstore("leg", "/dev/leg", SERIAL)
    assert lio.backstores() == []


def test_a_target_that_somebody_has_opened_is_closed() -> None:
    lio = SimulatedLio(DEVICES)
    export(lio)
    for name in ("authentication", "generate_node_acls"):
        before = lio.tree.read(("iscsi", IQN, "tpgt_1", "attrib", name))
        lio.tree.write(("iscsi", IQN, "tpgt_1", "attrib", name), str(1 - int(before)))
        assert not lio.targets()[0].chap_only
        assert lio.create_target(IQN).chap_only


def test_what_others_have_made_is_told_and_left() -> None:
    lio = SimulatedLio(DEVICES)
    export(lio)
    tree = lio.tree
    for place in (
        ("core", "iblock_0"),
        ("core", "iblock_0", "theirs"),
        ("iscsi", "eui.02004567a425678d"),
        ("iscsi", IQN, "tpgt_2"),
        ("iscsi", IQN, "tpgt_1", "lun", "lun_0x11"),
        ("iscsi", IQN, "tpgt_1", "lun", "lun_010"),
    ):
        tree.make(place)
    assert [(each.hba, each.name, each.number, each.enabled) for each in lio.backstores()] == [
        ("iblock_0", "theirs", None, False),
        ("iblock_740", "leg", DeviceNumber(253, 0), True),
    ]
    theirs, ours = lio.targets()
    assert (theirs.iqn, theirs.enabled, theirs.chap_only) == ("eui.02004567a425678d", False, False)
    assert ours.other_groups == ("tpgt_2",)
    assert [each.number for each in ours.luns] == [0, 8, 17]
    lio.remove_backstore("theirs")
    lio.revoke(IQN, HOST)
    lio.remove_lun(IQN, 0)
    with pytest.raises(BusyError, match="LUN"):
        lio.remove_target(IQN)
    for name in ("lun_0x11", "lun_010"):
        tree.remove(("iscsi", IQN, "tpgt_1", "lun", name))
    with pytest.raises(BusyError, match="tpgt_2"):
        lio.remove_target(IQN)
    assert lio.targets()[1].portals == (str(PORTAL),)
    assert [each.name for each in lio.backstores()] == ["theirs", "leg"]


def test_a_fence_that_is_not_done_says_so() -> None:
    lio = SimulatedLio(DEVICES)
    export(lio)
    lio.grant(IQN, f"{HOST}2", CHAP, [0])
    assert let_in(lio, CHAP)
    lio.tree.stalled.add((IQN, HOST))
    for _ in range(2):
        with pytest.raises(TimedOutError, match="within 3 s"):
            lio.revoke(IQN, HOST, timeout=3)
        assert not lio.serves(HOST, IQN)
        assert not let_in(lio, CHAP)
        assert lio.targets()[0].acls == (Acl(HOST, "", (), logged_in=False),), "it is not told as gone"
        with pytest.raises(BusyError, match="under way"):
            lio.grant(IQN, f"{HOST}3", CHAP, [0])
        with pytest.raises(BusyError, match="has the ACL"):
            lio.remove_target(IQN)
    lio.tree.stalled.clear()
    lio.revoke(IQN, HOST, timeout=3)
    assert [each.initiator for each in lio.targets()[0].acls] == [f"{HOST}2"]
