"""Plans: what they do, what they say it costs, and what they refuse."""

from __future__ import annotations

import msgspec
import pytest

from drystone.base.documents import encode
from drystone.base.errors import ExhaustedError, MismatchError, NotFoundError, RefusedError, UsageError
from drystone.dvm.groups.group import Group, visible
from drystone.dvm.groups.kinds import ThinPool
from drystone.dvm.planning.layout import Layout, Wanted, parse_layout
from drystone.dvm.planning.plan import Plan, apply, describe, parse_plan, plan
from drystone.testing.groups import GroupBench, find, make_group

M = 1 << 20


def grown(group: Group, *volumes: Wanted) -> Group:
    """The group that a plan for these volumes leads to."""
    return apply(group, plan(group, Layout(volumes=volumes), "seed"))


@pytest.fixture
def group() -> Group:
    return grown(
        make_group(),
        Wanted(name="db", size=8 * M),
        Wanted(name="safe", size=4 * M, kind="raid1"),
        Wanted(name="pool", size=16 * M, kind="thin_pool"),
        Wanted(name="one", size=100 * M, kind="thin", pool="pool"),
    )


def test_a_layout_is_reached_and_then_there_is_nothing_to_do(group: Group) -> None:
    wanted = Layout(
        volumes=(
            Wanted(name="db", size=12 * M, tags=("prod",)),
            Wanted(name="fast", size=7 * M, kind="striped", legs=2),
            Wanted(name="two", size=50 * M, kind="thin", pool="pool"),
            Wanted(name="three", size=50 * M, kind="thin", pool="pool"),
        )
    )
    after = apply(group, plan(group, wanted, "x"))
    assert [(each.name, each.kind, each.size // M) for each in visible(after)] == [
        ("db", "linear", 12),
        ("safe", "raid1", 4),
        ("pool", "thin_pool", 16),
        ("one", "thin", 100),
        ("fast", "striped", 8),
        ("two", "thin", 50),
        ("three", "thin", 50),
    ]
    assert find(after, "db").tags == ("prod",)
    again = plan(after, wanted, "y")
    assert again.is_empty
    assert describe(again) == ["Nothing to do."]
    assert apply(after, again) == after


@pytest.mark.parametrize("kind", ["linear", "striped", "raid1", "raid5", "raid6", "raid10"])
def test_what_was_rounded_up_is_as_wanted(kind: str) -> None:
    wanted = parse_layout(
        encode({"schema": "drystone.dvm.layout", "volumes": [{"name": "aa", "size": 5, "kind": kind}]})
    )
    empty = make_group()
    made = apply(empty, plan(empty, wanted, "x"))
    assert plan(made, wanted, "y").is_empty


def test_a_pool_is_told_in_one_transaction(group: Group) -> None:
    before = find(group, "pool")
    after = find(
        apply(
            group,
            plan(
                group,
                Layout(volumes=tuple(Wanted(name=name, size=M, kind="thin", pool="pool") for name in ("aa", "bb"))),
                "x",
            ),
        ),
        "pool",
    )
    assert isinstance(before, ThinPool)
    assert isinstance(after, ThinPool)
    assert after.transaction_id == before.transaction_id + 1
    assert after.messages == ("create_thin 1", "create_thin 2")


def test_costs(group: Group) -> None:
    made = plan(
        group,
        Layout(
            volumes=(
                Wanted(name="db", size=6 * M),
                Wanted(name="safe", size=9 * M, kind="raid1"),
                Wanted(name="new", size=3 * M, kind="raid5"),
            ),
            others="remove",
        ),
        "x",
    )
    costs = {msgspec.to_builtins(each.step)["do"]: (each.cost.copied, each.cost.lost) for each in made.steps}
    new = find(apply(group, made, lose_data=True), "new")
    assert costs == {
        "extend": (5 * M, 0),
        "create": (new.size // 2, 0),
        "reduce": (0, 2 * M),
        "remove": (0, 100 * M),
    }
    assert (made.copied, made.lost) == (5 * M + new.size // 2, 102 * M)
    assert any("lost" in line for line in describe(made))


def test_data_is_lost_only_by_who_says_so(group: Group) -> None:
    made = plan(group, Layout(others="remove"), "x")
    with pytest.raises(RefusedError, match="loses"):
        apply(group, made)
    assert visible(apply(group, made, lose_data=True)) == ()


def test_a_group_that_moved_on_is_refused(group: Group) -> None:
    made = plan(group, Layout(volumes=(Wanted(name="db", size=20 * M),)), "x")
    moved_on = grown(group, Wanted(name="other", size=M))
    with pytest.raises(MismatchError, match="moved on"):
        apply(moved_on, made)


def test_a_plan_that_was_changed_is_refused(group: Group) -> None:
    made = plan(group, Layout(volumes=(Wanted(name="db", size=20 * M),)), "x")
    other = parse_plan(encode(made).replace(b"20971520", b"29360128"))
    with pytest.raises(MismatchError, match="was changed"):
        apply(group, other)


def test_plans_are_documents(group: Group) -> None:
    made = plan(group, Layout(volumes=(Wanted(name="new", size=M),)), "x")
    assert parse_plan(encode(made)) == made
    assert apply(group, parse_plan(encode(made))) == apply(group, made), "uuids follow from the seed"
    for wrong in (
        b"{}",
        b'{"schema": "drystone.dvm.plan"}',
        encode(made).replace(b'"version":1', b'"version":2'),
    ):
        with pytest.raises(UsageError):
            parse_plan(wrong)


def test_a_device_is_emptied(group: Group) -> None:
    made = plan(group, Layout(empty=("/dev/disk0",)), "x")
    after = apply(group, made)
    assert made.copied > 0
    sent = [run for volume in after.volumes for run in volume.runs() if run.device == "disk0"]
    assert sent
    assert all(run.to is not None and run.to.device != "disk0" for run in sent)
    assert plan(after, Layout(empty=("/dev/disk0",)), "y").is_empty


def test_who_waits_is_named(group: Group) -> None:
    assert plan(group, Layout(volumes=(Wanted(name="db", size=20 * M),)), "x").suspended == ("vg-db",)
    assert plan(group, Layout(volumes=(Wanted(name="new", size=20 * M),)), "x").suspended == ()


def test_the_kernel_follows(group: Group) -> None:
    bench = GroupBench(make_group())
    bench.go(group)
    bench.go(grown(group, Wanted(name="db", size=20 * M), Wanted(name="two", size=M, kind="thin", pool="pool")))


def test_freed_space_is_not_used_by_the_plan_that_frees_it() -> None:
    full = grown(make_group(1, 16), Wanted(name="old", size=12 * M))
    with pytest.raises(ExhaustedError):
        plan(full, Layout(volumes=(Wanted(name="new", size=12 * M),), others="remove"), "x")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(name="db", size=8 * M, kind="raid1"), "linear, and raid1 is wanted"),
        (Wanted(name="one", size=M, kind="thin", pool="other"), "of another pool"),
        (Wanted(name="pool:meta", size=M), "is a part of"),
        (Wanted(name="pool", size=8 * M, kind="thin_pool"), "cannot be reduced"),
    ],
)
def test_what_cannot_be_is_refused(group: Group, wanted: Wanted, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        plan(group, Layout(volumes=(wanted,)), "x")


def test_devices_and_pools_must_be_there(group: Group) -> None:
    for layout in (
        Layout(empty=("/dev/none",)),
        Layout(volumes=(Wanted(name="aa", size=M, on=("/dev/none",)),)),
        Layout(volumes=(Wanted(name="aa", size=M, kind="thin", pool="none"),)),
    ):
        with pytest.raises(NotFoundError):
            plan(group, layout, "x")


@pytest.mark.parametrize(
    "text",
    [
        b"[]",
        b'{"schema": "drystone.dvm.layout", "version": 2}',
        b'{"schema": "drystone.dvm.layout", "volumes": [{"name": "aa"}]}',
        b'{"schema": "drystone.dvm.layout", "volumes": [{"name": "aa", "size": 1, "kind": "cloud"}]}',
        b'{"schema": "drystone.dvm.layout", "volumes": [{"name": "aa", "size": 1, "kind": "thin"}]}',
        b'{"schema": "drystone.dvm.layout", "volumes": [{"name": "aa", "size": 1}, {"name": "aa", "size": 1}]}',
        b'{"schema": "drystone.dvm.layout", "surprise": 1}',
    ],
)
def test_what_is_no_layout(text: bytes) -> None:
    with pytest.raises(UsageError):
        parse_layout(text)


def test_a_plan_is_made_without_changing_anything(group: Group) -> None:
    text = encode(group)
    found = plan(group, Layout(volumes=(Wanted(name="db", size=20 * M),), others="remove"), "x")
    assert isinstance(found, Plan)
    assert encode(group) == text
