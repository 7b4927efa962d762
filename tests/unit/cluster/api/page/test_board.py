"""What the page says of states of a cluster."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from drystone.cluster.api.page.board import Board, Found, Level, draw_leg, judge, make_board
from drystone.cluster.model.dlv import Attachment, Dlv, Group, Leg, Source
from drystone.cluster.model.dpv import Dpv, Dvg, HostStatus, Ihost
from drystone.cluster.model.extents import EXTENT

AWAY: HostStatus = "unavailable"
SOURCE = Source(dlv="old-id", name="old", snapshot="s", thin_id=1)


def make_dpv(name: str, status: HostStatus = "available", **more: object) -> Dpv:
    return replace(
        Dpv(name=name, address="a:1", portal="a:2", extents=100, used=25, dvg="fast", status=status), **more
    )  # fmt: skip


def make_leg(place: int, **more: object) -> Leg:
    return replace(
        Leg(id=f"leg{place}", group=0, stripe=0, place=place, dpv=f"d{place + 1}", extents=2, status="ready"), **more
    )  # fmt: skip


def make_dlv(*legs: Leg, **more: object) -> Dlv:
    group = Group(number=0, role="metadata", stripes=1, extents=2)
    dlv = Dlv(
        id="id", name="db", dvg="fast", size=EXTENT, initial_size=EXTENT, mirrors=len(legs), stripes=1, chunk=8,
        block=128, status="detached", groups=(group,), legs=legs,
    )  # fmt: skip
    return replace(dlv, **more)


def make(*dlvs: Dlv, dpvs: tuple[Dpv, ...] | None = None, ihosts: tuple[Ihost, ...] = ()) -> Board:
    hosts = (make_dpv("d1"), make_dpv("d2")) if dpvs is None else dpvs
    dvgs = (Dvg(name="fast", dpvs=tuple(each.name for each in hosts if each.dvg)),) if hosts else ()
    counts = {"detached": len(dlvs)} if dlvs else {}
    return make_board(Found(hosts, dvgs, ihosts, dlvs, counts, {}, (), ()))


@pytest.mark.parametrize(
    ("leg", "status", "state", "level", "is_good"),
    [
        (make_leg(0), "available", "in sync", "good", True),
        (make_leg(0), AWAY, "in sync · dpv away", "warning", False),
        (make_leg(0, in_sync=False, copying=True), "available", "being copied to", "warning", False),
        (make_leg(0, in_sync=False), "available", "left behind", "bad", False),
        (make_leg(0, in_sync=False), AWAY, "left behind · dpv away", "bad", False),
        (make_leg(0, status="planned"), "available", "planned", "quiet", False),
        (make_leg(0, status="creating"), AWAY, "being made · dpv away", "warning", False),
        (make_leg(0, status="deleting"), "available", "being removed", "quiet", False),
    ],
)
def test_a_leg_is_told_in_words_and_by_a_level(
    leg: Leg, status: HostStatus, state: str, level: Level, is_good: bool
) -> None:
    card = draw_leg(leg, make_dpv("d1", status, location="rack1"))
    assert (card.dpv, card.location, card.state, card.level, card.is_good) == ("d1", "rack1", state, level, is_good)


def test_a_leg_of_a_dpv_that_nobody_knows_counts_as_away() -> None:
    assert draw_leg(make_leg(0), None).state == "in sync · dpv away"


@pytest.mark.parametrize(
    ("board", "level", "summary"),
    [
        (make(dpvs=()), "quiet", "There is nothing here yet: no dpv was registered."),
        (make(), "good", "All hosts are well. There is no volume yet."),
        (make(make_dlv(make_leg(0), make_leg(1))), "good", "All is well: 1 volume with all copies."),
        (
            make(make_dlv(make_leg(0), make_leg(1), status="attaching")),
            "good",
            "All is well: 1 volume with all copies; 1 is on the way.",
        ),
        (
            make(make_dlv(make_leg(0), make_leg(1, in_sync=False))),
            "warning",
            "1 volume (db) has fewer good copies than it should.",
        ),
        (
            make(make_dlv(make_leg(0), make_leg(1)), dpvs=(make_dpv("d1", AWAY), make_dpv("d2", AWAY))),
            "bad",
            "1 volume (db) has no good copy within reach; 2 dpvs unavailable (d1, d2).",
        ),
        (make(make_dlv(make_leg(0), make_leg(1), status="failed")), "bad", "1 volume (db) failed."),
        (
            make(ihosts=(Ihost(name="h1", address="a:1", initiator="iqn.x", status="unavailable"),)),
            "warning",
            "1 ihost unavailable (h1).",
        ),
    ],
    ids=["nothing", "no volume", "well", "moving", "alone", "lost", "failed", "ihost away"],
)
def test_one_sentence_says_how_bad_it_is(board: Board, level: Level, summary: str) -> None:
    assert (board.level, board.summary) == (level, summary)


def test_only_a_few_names_are_in_the_sentence() -> None:
    dpvs = [make_dpv(f"d{number}", AWAY) for number in range(5)]
    assert judge((), dpvs, (), 0)[1] == "5 dpvs unavailable (d0, d1, d2, ...)."


def test_what_is_not_made_yet_is_in_no_trouble() -> None:
    card = make(make_dlv(make_leg(0, status="planned"), make_leg(1, status="creating"), status="creating")).dlvs[0]
    assert (card.level, card.status, card.good) == ("quiet", "being made", 2)


@pytest.mark.parametrize(
    ("more", "place", "can_fail_over"),
    [
        ({}, "attached nowhere", False),
        ({"wanted": "h1", "status": "attaching"}, "to be attached to h1", False),
        ({"wanted": "h1", "attachment": Attachment(ihost="h1", epoch=2)}, "at h1", True),
        ({"attachment": Attachment(ihost="h2", epoch=2)}, "at h2, which does not answer", True),
        ({"source": SOURCE}, "attached nowhere; being copied from old", False),
        (
            {"attachment": Attachment(ihost="h2", epoch=2), "status": "fencing", "wanted": "h1"},
            "at h2, which does not answer; to be at h1",
            False,
        ),
    ],
)
def test_where_a_volume_is(more: dict[str, object], place: str, can_fail_over: bool) -> None:
    hosts = (
        Ihost(name="h1", address="a:1", initiator="iqn.x", status="available"),
        Ihost(name="h2", address="a:1", initiator="iqn.y", status="unavailable"),
    )
    card = make(make_dlv(make_leg(0), make_leg(1), **more), ihosts=hosts).dlvs[0]
    assert (card.place, card.can_fail_over) == (place, can_fail_over)


def test_a_dvg_counts_the_space_and_the_places_of_the_dpvs_that_are_available() -> None:
    dpvs = (
        make_dpv("d1", location="rack1"),
        make_dpv("d2", location="rack1"),
        make_dpv("d3", AWAY, location="rack2"),
        make_dpv("d4", dvg=""),
    )
    board = make(dpvs=dpvs)
    (dvg,) = board.dvgs
    assert (dvg.places, dvg.size, dvg.free) == (1, 200 * EXTENT, 150 * EXTENT)
    assert [each.dpv.name for each in board.loose] == ["d4"]
