"""Epochs of a placement, which are not endless: how many a rebuilding of the map uses, and that none is used twice.

The map is rebuilt while a server is away, so that it takes as long as the test likes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from drystone.fleet.documents import Member
from drystone.fleet.mapping.epochs import measure_leap
from drystone.testing.fleet.world.copies import check_copies
from drystone.testing.fleet.world.world import HOSTS, World

_LONGEST = max(map(measure_leap, range(1000)))
_STEPS = 300
"""Epochs: more than the changes that such a run makes to one placement."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What each server logs is of no use here."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


class Rebuilding:
    """A fleet with clients whose map is rebuilt, as its database was put back, while one of three servers is away."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed, frozenset())
        self.world.begin()
        self.world.timeline.run(104.0)
        self.kept = self.world.database.snapshot()
        some = next(iter(self.world.database.model.placements.values()))
        members = {each.server for each in some.members}
        self.away = next(each for each in self.world.nodes if each.name not in members)
        """One placement is led past what the database decided without it, the others have to wait."""
        self.decided: dict[tuple[str, int], tuple[str, tuple[Member, ...]]] = {}

    def put_back(self) -> None:
        self.world.database.restore(self.kept)

    def wait(self, seconds: float) -> None:
        """Let time pass; what is decided is noted, and copies are compared.

        :raises AssertionError: two placements are in one epoch.
        """
        until = self.world.timeline.time + seconds
        while self.world.timeline.time < until:
            self.world.timeline.run(self.world.timeline.time + 0.1)
            check_copies(self.world)
            for each in self.world.database.model.placements.values():
                what = each.leader, each.members
                assert self.decided.setdefault((each.id, each.epoch), what) == what

    def crash(self) -> None:
        """The mapper that leads ends and is started again at once: it leads again when its lease is over."""
        for each in self.world.mappers:
            if each.mapper.leads():
                each.stop()
                each.start()

    def highest(self) -> int:
        """Of any placement, in the database."""
        return max(each.epoch for each in self.world.database.model.placements.values())

    def check_end(self) -> None:
        """All is mended and the map is whole. :raises HistoryError: somebody read what was not so."""
        if not self.away.up:
            self.away.start()
        self.wait(30)
        assert not self.world.database.model.recovering
        read = {(host, key): False for host in HOSTS for key in self.world.keys}
        for host, key in read:
            self.world.do("get", host, key, lambda _, both=(host, key): read.update({both: True}))  # type: ignore[misc]
        self.wait(5)
        self.world.history.check()
        assert all(read.values())


@pytest.mark.parametrize("seed", range(3))
def test_a_loop_of_crashes_while_the_map_is_rebuilt_uses_no_more_epochs_than_one_rebuilding(seed: int) -> None:
    run = Rebuilding(seed)
    before = run.highest()
    run.away.stop()
    run.put_back()
    terms = set()
    for _ in range(25):
        run.wait(8)
        terms.add(run.world.database.lease.term)
        assert run.world.database.model.recovering
        run.crash()
    assert len(terms) > 10, "many mappers took it over"
    assert before + 1000 <= run.highest() <= before + _LONGEST + _STEPS
    run.check_end()
    assert run.highest() <= before + _LONGEST + _STEPS


@pytest.mark.parametrize("seed", range(3))
def test_rebuildings_in_rebuildings_use_epochs_of_their_own(seed: int) -> None:
    """The database is put back again, also to what an earlier rebuilding had led it to."""
    run = Rebuilding(seed)
    before = run.highest()
    run.away.stop()
    for number in range(6):
        run.put_back()
        run.wait(6)
        run.crash()
        run.wait(9)
        if number % 2:
            run.kept = run.world.database.snapshot()
    assert run.highest() <= before + 6 * (_LONGEST + _STEPS)
    run.check_end()
