"""Where legs go: never two of a mirror in one place, and always somewhere when there is a way."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from drystone.base.errors import ExhaustedError
from drystone.cluster.model.allocation import allocate, replacement
from drystone.cluster.model.dlv import Dlv, Group, Leg
from drystone.cluster.model.dpv import Dpv, HostStatus


def make_dpv(name: str, extents: int, *, used: int = 0, location: str = "", status: HostStatus = "available") -> Dpv:
    return Dpv(
        name=name, address="h:1", portal="h:2", extents=extents, used=used, location=location, status=status, dvg="g"
    )


def data(stripes: int, extents: int, number: int = 1) -> Group:
    return Group(number=number, role="data", stripes=stripes, extents=extents)


def ids() -> Iterator[str]:
    return (f"leg{number}" for number in itertools.count())


def place(groups: list[Group], mirrors: int, dpvs: list[Dpv], existing: tuple[Leg, ...] = ()) -> tuple[Leg, ...]:
    made = ids()
    return allocate(groups, mirrors, dpvs, existing, lambda: next(made))


def test_a_mirror_goes_to_two_dpvs() -> None:
    legs = place([data(1, 5)], 2, [make_dpv("a", 10), make_dpv("b", 10)])
    assert [(leg.group, leg.stripe, leg.place, leg.extents) for leg in legs] == [(1, 0, 0, 5), (1, 0, 1, 5)]
    assert {leg.dpv for leg in legs} == {"a", "b"}


def test_locations_count_not_dpvs() -> None:
    dpvs = [make_dpv("a", 10, location="room1"), make_dpv("b", 10, location="room1")]
    with pytest.raises(ExhaustedError, match="1 locations have room"):
        place([data(1, 5)], 2, dpvs)
    legs = place([data(1, 5)], 2, [*dpvs, make_dpv("c", 10, location="room2")])
    assert "c" in {leg.dpv for leg in legs}


def test_a_location_is_no_dpvs_name() -> None:
    legs = place([data(1, 5)], 2, [make_dpv("a", 10), make_dpv("b", 10, location="a")])
    assert len(legs) == 2


def test_stripes_are_spread_over_dpvs_although_one_is_larger() -> None:
    legs = place([data(4, 5)], 1, [make_dpv("a", 1000), *(make_dpv(name, 10) for name in "bcd")])
    assert Counter(leg.dpv for leg in legs) == {"a": 1, "b": 1, "c": 1, "d": 1}


def test_dpvs_that_already_have_legs_come_last() -> None:
    dpvs = [make_dpv("a", 100), make_dpv("b", 50)]
    first = place([data(1, 5)], 1, dpvs)
    assert [leg.dpv for leg in place([data(1, 5, 2)], 1, dpvs, first)] == ["b"]


@pytest.mark.parametrize("status", ["creating", "unavailable"])
def test_only_available_dpvs_are_used(status: HostStatus) -> None:
    with pytest.raises(ExhaustedError):
        place([data(1, 1)], 1, [make_dpv("a", 10, status=status)])


def test_used_extents_are_not_given_out_again() -> None:
    with pytest.raises(ExhaustedError):
        place([data(1, 5)], 1, [make_dpv("a", 10, used=6)])
    assert place([data(1, 5)], 1, [make_dpv("a", 10, used=5)])


def test_groups_of_one_volume_share_what_is_free() -> None:
    metadata = Group(number=0, role="metadata", stripes=1, extents=2)
    legs = place([metadata, data(1, 8)], 1, [make_dpv("a", 10)])
    assert [(leg.group, leg.extents) for leg in legs] == [(0, 2), (1, 8)]
    with pytest.raises(ExhaustedError, match="metadata"):
        place([metadata, data(1, 9)], 1, [make_dpv("a", 10)])


def test_where_spreading_leads_nowhere_the_fullest_places_are_taken() -> None:
    # Spread takes (a, b) first, for they have the most room; then c alone is left for two legs of the second mirror.
    dpvs = [make_dpv("a", 3), make_dpv("b", 2, location="x"), make_dpv("c", 1, location="x")]
    legs = place([data(3, 1)], 2, dpvs)
    assert Counter(leg.dpv for leg in legs)["a"] == 3


fleets = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["", "x", "y", "z"])), min_size=0, max_size=7
)  # fmt: skip


@given(fleets, st.integers(1, 3), st.integers(1, 5), st.integers(1, 4))
def test_a_group_is_placed_exactly_when_there_is_a_way(
    fleet: list[tuple[int, str]], mirrors: int, stripes: int, extents: int
) -> None:
    dpvs = [make_dpv(f"d{number}", size, location=place) for number, (size, place) in enumerate(fleet)]
    slots: dict[tuple[str, str], int] = defaultdict(int)
    for dpv in dpvs:
        slots[dpv.place] += dpv.extents // extents
    possible = sum(min(count, stripes) for count in slots.values()) >= stripes * mirrors
    try:
        legs = place([data(stripes, extents)], mirrors, dpvs)
    except ExhaustedError:
        assert not possible
        return
    assert possible
    by_name = {dpv.name: dpv for dpv in dpvs}
    assert len(legs) == stripes * mirrors
    for stripe in range(stripes):
        mine = [leg for leg in legs if leg.stripe == stripe]
        assert [leg.place for leg in mine] == list(range(mirrors))
        assert len({by_name[leg.dpv].place for leg in mine}) == mirrors
    for dpv in dpvs:
        assert sum(leg.extents for leg in legs if leg.dpv == dpv.name) <= dpv.extents


def test_a_lost_leg_is_replaced_where_no_other_of_its_mirror_is() -> None:
    names = ("d0", "d1", "d2", "d3")
    dpvs = [make_dpv(name, 9, location="there" if name == "d3" else "") for name in names]
    dpvs[1] = replace(dpvs[1], location="there")
    legs = tuple(
        Leg(id=f"l{place}", group=0, stripe=0, place=place, dpv=f"d{place}", extents=4, in_sync=place != 0)
        for place in range(2)
    )
    dlv = Dlv(
        id="id", name="db", dvg="g", size=4096, initial_size=1, mirrors=2, stripes=1, chunk=128, block=128, legs=legs
    )
    new = replacement(dlv, legs[0], dpvs, lambda: "new")
    assert new == Leg(id="new", group=0, stripe=0, place=0, dpv="d2", extents=4, in_sync=False)
    for less in (replace(dpvs[2], used=dpvs[2].extents - 3), replace(dpvs[2], status="unavailable")):
        with pytest.raises(ExhaustedError, match=r"another leg of mirror g0\.s0"):
            replacement(dlv, legs[0], [dpvs[0], dpvs[1], less, dpvs[3]], lambda: "new")
