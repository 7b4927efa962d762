from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.dvm.changes import Kind, compare
from drystone.dvm.state import Device, Line, State


def device(name: str, *children: str, uuid: str = "", length: int = 8, read_only: bool = False) -> Device:
    table = tuple(Line(n * length, length, "linear", f"{{{child}}} 0") for n, child in enumerate(children))
    return Device(name, uuid, table or (Line(0, length, "zero"),), read_only)


def kinds(current: list[Device], desired: list[Device]) -> dict[str, Kind]:
    return compare(State(tuple(current)), State(tuple(desired))).kinds


def test_matching_by_uuid_then_by_name() -> None:
    changes = compare(
        State((device("a", uuid="1"), device("b"), device("c", uuid="3"))),
        State((device("x", uuid="1"), device("b"), device("c"))),
    )
    assert changes.renames == (("a", "x"),)
    assert set(changes.kinds.values()) == {Kind.KEEP}


def test_a_uuid_that_a_device_lacks_makes_it_another_one() -> None:
    changes = compare(State((device("a"),)), State((device("a", uuid="1"),)))
    assert changes.renames == (("a", "a.old1"),)
    assert changes.kinds == {"a.old1": Kind.GONE, "a": Kind.NEW}


def test_names_go_in_circles() -> None:
    changes = compare(
        State((device("a", uuid="1"), device("b", uuid="2"), device("c", "a", uuid="3"))),
        State((device("b", uuid="1"), device("c", uuid="2"), device("a", "b", uuid="3"))),
    )
    names = {"a": "a", "b": "b", "c": "c"}
    for old, new in changes.renames:
        assert new not in names.values()
        names[next(origin for origin, now in names.items() if now == old)] = new
    assert names == {"a": "b", "b": "c", "c": "a"}
    assert changes.before["a"].table[0].params == "{b} 0"
    assert set(changes.kinds.values()) == {Kind.KEEP}


def test_growing_comes_early_only_when_a_parent_needs_it() -> None:
    assert kinds([device("a")], [device("a", length=16)]) == {"a": Kind.SWITCH}
    assert kinds([device("a"), device("p", "a")], [device("a", length=16), device("p", "a")]) == {
        "a": Kind.SWITCH,
        "p": Kind.KEEP,
    }
    assert kinds([device("a"), device("p", "a")], [device("a", length=16), device("p", "a", length=16)]) == {
        "a": Kind.EARLY,
        "p": Kind.SWITCH,
    }
    assert kinds([device("a")], [device("a", length=16), device("p", "a")])["a"] is Kind.EARLY


def test_shrinking_comes_late_only_when_a_parent_lets_go() -> None:
    wide = [device("a", length=16), device("p", "a", length=16)]
    assert kinds(wide, [device("a"), device("p", "a")]) == {"a": Kind.LATE, "p": Kind.SWITCH}
    assert kinds(wide, [device("a")]) == {"a": Kind.LATE, "p": Kind.GONE}
    assert kinds(wide[:1], [device("a")]) == {"a": Kind.SWITCH}


def test_what_shrinks_is_not_left_on_what_will_be_on_it() -> None:
    """It would be on itself for a while; all are swapped at once."""
    current = [device("e", uuid="4"), device("c", "e", "e", uuid="0"), device("a", "c", uuid="3")]
    desired = [device("c", uuid="0"), device("e", "c", uuid="4"), device("a", uuid="3")]
    assert kinds(current, desired) == dict.fromkeys("ace", Kind.SWITCH)


def test_read_only_is_a_change_and_has_its_order() -> None:
    assert kinds([device("a")], [device("a", read_only=True)]) == {"a": Kind.SWITCH}
    low, high = device("a"), device("p", "a")
    assert kinds([low, high], [device("a", read_only=True), device("p", "a", read_only=True)])["a"] is Kind.LATE
    assert kinds([device("a", read_only=True), device("p", "a", read_only=True)], [low, high])["a"] is Kind.EARLY


def test_suspended_and_unfinished_devices_come_early() -> None:
    suspended = Device("a", table=(Line(0, 8, "zero"),), suspended=True)
    assert kinds([suspended, Device("b")], [device("a"), device("b")]) == {"a": Kind.EARLY, "b": Kind.EARLY}


@pytest.mark.parametrize(
    "wrong",
    [
        Device("a"),
        Device("a", table=(Line(0, 8, "zero"),), suspended=True),
        Device("a", table=(Line(0, 8, "zero"),), inactive=(Line(0, 8, "zero"),)),
    ],
)
def test_desires_that_no_program_can_fulfil(wrong: Device) -> None:
    with pytest.raises(UsageError, match="desired state: 'a'"):
        compare(State(), State((wrong,)))
