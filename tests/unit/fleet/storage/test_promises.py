"""Promises: who may read, and what is promised to whom."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import pytest

from drystone.base.errors import UnavailableError
from drystone.fleet.calls import Calls
from drystone.fleet.documents import Member, MemberState, Placement
from drystone.fleet.replica import Replica
from drystone.fleet.storage.failures import ElsewhereError
from drystone.fleet.storage.members import Ask, AskPromises, Promises
from drystone.fleet.storage.promises import Promiser
from drystone.fleet.storage.pulse import Pulse
from drystone.fleet.storage.standing import Standing, Standings, boot_time


def placement(epoch: int, leader: str = "s1", state: MemberState = "in_sync") -> Placement:
    members = (Member("s1", "data_1", "d1", "primary", "in_sync"), Member("s2", "data_1", "d2", "secondary", state))
    return Placement("p", "ns", "h", "h", "shared", epoch, leader, members)


class NoAtlas:
    """Knows nobody."""

    def url_of(self, _: str) -> str:
        return ""

    def placement(self, _: str) -> Placement | None:
        return None


@dataclass
class OneBay:
    """A disk's place; None when the disk went away."""

    disk: object | None = "a disk"


@dataclass
class OneStanding:
    """What `Promiser` asks of Standings, with one placement."""

    replica: Replica
    server: str
    pulse: Pulse = field(default_factory=Pulse)
    atlas: NoAtlas = field(default_factory=NoAtlas)
    bay: OneBay = field(default_factory=OneBay)

    def find(self, id_: str) -> Standing | None:
        return Standing(self.replica, cast("Any", self.bay)) if id_ == "p" else None

    def lead(self, _: str) -> Standing:
        if not self.replica.leads():
            raise ElsewhereError(self.replica.placement)
        return Standing(self.replica, cast("Any", self.bay))

    def own(self) -> tuple[Standing, ...]:
        return (Standing(self.replica, cast("Any", self.bay)),)


async def drop_nobody(_: str, failed: dict[str, str]) -> None:
    raise AssertionError(f"nobody is to be dropped: {failed}")


def make(server: str, known: Placement) -> tuple[Promiser, Replica, Standing]:
    replica = Replica(known, server, started=boot_time() - 100)
    standings = OneStanding(replica, server)
    promiser = Promiser(cast("Standings", standings), Calls("a-secret"), patience=8.0)
    return promiser, replica, Standing(replica, cast("Any", None))


def test_what_was_read_before_another_led_in_between_is_not_handed_out() -> None:
    async def run() -> None:
        promiser, replica, standing = make("s1", placement(1, state="copying"))
        rows = iter(["before", "after"])

        async def look() -> str:
            row = next(rows)
            if row == "before":  # deposed and made leader again while the disk was slow
                replica.learn(placement(2, "s2"))
                replica.learn(placement(3, "s1", "copying"))
            return row

        assert await promiser.reading(standing, look, drop_nobody) == "after"

    asyncio.run(run())


def test_who_does_not_lead_any_more_after_the_look_reads_nothing() -> None:
    async def run() -> None:
        promiser, replica, standing = make("s1", placement(1, state="copying"))

        async def look() -> str:
            replica.learn(placement(2, "s2"))
            return "before"

        with pytest.raises(ElsewhereError):
            await promiser.reading(standing, look, drop_nobody)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("epoch", "leader", "answer"),
    [
        (5, "s1", Promises(kept=("p",))),
        (6, "s1", Promises(behind=("p",))),
        (4, "s1", Promises(newer=(placement(5),))),
        (5, "s3", Promises()),
    ],
)
def test_only_the_leader_of_the_epoch_gets_a_promise(epoch: int, leader: str, answer: Promises) -> None:
    promiser, _, _ = make("s2", placement(5))
    assert promiser.give(AskPromises(leader, (Ask("p", epoch),))) == answer


def test_nothing_is_promised_of_what_is_not_known() -> None:
    promiser, _, _ = make("s2", placement(5))
    assert promiser.give(AskPromises("s1", (Ask("other", 1),))) == Promises(behind=("other",))


def test_a_member_whose_disk_went_away_promises_nothing() -> None:
    replica = Replica(placement(3), "s2", started=boot_time() - 100)
    standings = OneStanding(replica, "s2", bay=OneBay(None))
    promiser = Promiser(cast("Standings", standings), Calls("a-secret"), patience=8.0)
    assert promiser.give(AskPromises("s1", (Ask("p", 3),))).kept == ()
    standings.bay.disk = "it is back"
    assert promiser.give(AskPromises("s1", (Ask("p", 3),))).kept == ("p",)


def test_a_read_has_a_member_dropped_that_is_silent_and_goes_on_without_its_promise() -> None:
    async def run() -> None:
        promiser, replica, standing = make("s1", placement(1))
        now = boot_time()
        promiser.standings.pulse.failed("s2", now - 3.5, now - 1.5, 2.0)
        promiser.standings.pulse.failed("s2", now - 1.4, now - 0.4, 1.0)
        dropped: list[tuple[str, list[str]]] = []

        async def look() -> str:
            return f"row of epoch {replica.placement.epoch}"

        async def drop(id_: str, failed: dict[str, str]) -> None:
            dropped.append((id_, list(failed)))
            alone = msgspec.structs.replace(placement(2), members=placement(2).members[:1])
            replica.learn(alone)

        assert await promiser.reading(standing, look, drop) == "row of epoch 2"
        assert dropped == [("p", ["s2"])]

    asyncio.run(run())


def test_while_no_mapper_drops_it_nothing_is_read() -> None:
    async def run() -> None:
        promiser, _, standing = make("s1", placement(1))
        now = boot_time()
        promiser.standings.pulse.failed("s2", now - 3.5, now - 1.5, 2.0)
        promiser.standings.pulse.failed("s2", now - 1.4, now - 0.4, 1.0)

        async def look() -> str:
            return "row"

        async def drop(_: str, __: dict[str, str]) -> None:
            raise UnavailableError("no mapper answers")

        with pytest.raises(UnavailableError):
            await promiser.reading(standing, look, drop)

    asyncio.run(run())
