"""What goes wrong without a rule of the fleet, step by step; with the rule it does not.

Random schedules meet these only now and then: here they are told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from drystone.fleet.documents import Placement
from drystone.fleet.mapping.mapper import Mapper
from drystone.fleet.mapping.orders import Orders
from drystone.fleet.orders import LeadOrder
from drystone.testing.fleet.world.copies import check_copies
from drystone.testing.fleet.world.history import HistoryError
from drystone.testing.fleet.world.node import Node
from drystone.testing.fleet.world.world import World

HOST = "one"
_SOON = 0.01
"""Seconds: longer than messages and disks take in these."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What each server logs is of no use here."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


class Story:
    """A fleet whose messages are quick, with one host and no clients but those of the story."""

    def __init__(self, mutants: frozenset[str]) -> None:
        self.world = World(1, mutants)
        self.world.network.delay = 0.001
        self.world.begin(clients=False)
        self.world.timeline.run(110.0)
        self.leader = self.node(self.placement().leader)
        self.follower = self.node(next(each.server for each in self.placement().members[1:]))

    def placement(self) -> Placement:
        """The host's, as the database has it."""
        found = self.world.database.model.find("ns", HOST)
        assert found is not None, "placed"
        return found

    def node(self, name: str) -> Node:
        return self.world.node(name)

    def mapper(self) -> Mapper:
        """The one that leads."""
        return next(each.mapper for each in self.world.mappers if each.mapper.leads())

    def wait(self, seconds: float) -> None:
        """Let time pass; copies in sync are compared all the while. :raises HistoryError: two differ."""
        until = self.world.timeline.time + seconds
        while self.world.timeline.time < until:
            self.world.timeline.run(min(until, self.world.timeline.time + 0.1))
            check_copies(self.world)

    def wait_until(self, so: Callable[[], bool]) -> None:
        """:raises AssertionError: it does not come."""
        for _ in range(600):
            if so():
                return
            self.wait(0.1)
        raise AssertionError("it does not come")

    def act(self, node: Node, kind: str, key: str) -> None:
        """A client's operation at a server."""
        self.world.ask_node(node, kind, HOST, key)

    def cut(self, source: str, target: str) -> None:
        """One way."""
        self.world.network.cuts.add((source, target))

    def mappers(self) -> list[str]:
        return [each.name for each in self.world.mappers]

    def disk_of(self, node: Node) -> str:
        """The id of the disk with the host's copy."""
        member = self.placement().member(node.name)
        assert member is not None, "a member"
        return member.disk_id


def give_up_and_delete(story: Story) -> None:
    """A put is stuck on the way and given up, as no mapper answers; all are told of its absence; then it comes."""
    world, way = story.world, (story.leader.name, story.follower.name)
    world.database.down = True
    world.network.late[way] = 5.0
    story.act(story.leader, "put", "k0")
    world.timeline.run(world.timeline.time + _SOON)
    world.network.late.clear()
    story.wait(4.0)
    world.database.down = False
    story.wait(4.0)


def give_up_beside_another(story: Story) -> None:
    """As that, but an earlier change of another key is under way: members are not told yet to refuse what is late."""
    world, way = story.world, (story.leader.name, story.follower.name)
    world.timeline.run(110.3)
    world.database.down = True
    world.network.late[way] = 3.0
    story.act(story.leader, "put", "k1")
    world.timeline.run(110.5)
    world.network.late[way] = 2.0
    story.act(story.leader, "put", "k0")  # given up at 111.5, comes at 112.5
    world.timeline.run(110.5 + _SOON)
    world.network.late.clear()
    for mapper in story.mappers():  # the first is asked about at 111.3, and for some seconds
        world.network.late[story.leader.name, mapper] = 10.0
    world.timeline.run(111.45)
    world.network.late.clear()
    story.wait(8.0)
    world.database.down = False
    story.wait(4.0)


def repeat_and_delete(story: Story) -> None:
    """A put was sent twice; the key is deleted while an earlier change is under way; then the second one comes."""
    world, leader, follower = story.world, story.leader, story.follower
    world.network.late[leader.name, follower.name] = 0.8
    story.act(leader, "put", "k1")
    world.timeline.run(world.timeline.time + _SOON)
    world.network.late.clear()
    world.network.double = 1e-9  # what is doubled is doubled below
    story.act(leader, "put", "k0")
    world.timeline.run(world.timeline.time + 0.1)
    shelf = follower.shelf(story.placement())
    assert shelf is not None, "a member"
    put, floor = shelf.entries["k0"], shelf.entries["k0"].seq - 1
    story.act(leader, "delete", "k0")
    world.timeline.run(world.timeline.time + 0.1)
    follower.follower.apply(story.placement(), leader.name, "k0", put.seq, put.value, floor)
    story.wait(5.0)


def hand_over_during_a_put(story: Story) -> None:
    """The follower alone has the put when it is made the leader."""
    story.cut(story.follower.name, story.leader.name)
    story.act(story.leader, "put", "k0")
    story.world.timeline.run(story.world.timeline.time + _SOON)
    Orders(story.mapper()).lead(LeadOrder(story.placement().id, story.follower.name))
    story.world.network.cuts.clear()


def hand_over_in_the_middle(story: Story) -> None:
    """The lead is handed over while a change has reached the follower alone: the old leader lacks it then."""
    hand_over_during_a_put(story)
    story.wait(0.5)
    for mapper in story.mappers():  # the old leader is not reached, and so cannot catch up
        story.cut(mapper, story.leader.name)
    story.wait(6.0)


def report_and_not_hear(story: Story) -> None:
    """A leader reports that its follower caught up, hears no answer, and is deposed for it: it must not read alone."""
    world, leader, follower = story.world, story.leader, story.follower
    story.act(leader, "put", "k0")
    story.wait(0.5)
    story.cut(leader.name, follower.name)
    story.act(leader, "put", "k0")
    story.wait_until(lambda: len(story.placement().members) == 1)
    world.network.cuts.clear()
    story.wait_until(lambda: len(leader.replicas[story.placement().id].placement.members) == 2)
    for mapper in story.mappers():
        story.cut(mapper, leader.name)
    story.wait_until(lambda: len(story.placement().in_sync()) == 2)
    for mapper in story.mappers():
        story.cut(leader.name, mapper)
    follower = story.node(next(each.server for each in story.placement().members[1:]))
    story.wait_until(lambda: story.placement().leader == follower.name)
    story.wait(4.0)
    story.act(follower, "put", "k0")
    story.wait(0.5)
    for _ in range(20):
        story.act(leader, "get", "k0")
    story.wait(5.0)


def tell_before_learning(story: Story) -> None:
    """A server hears that it leads alone while its disk is away; the database goes back; then the disks return."""
    world, old, heir = story.world, story.leader, story.follower
    for each in world.nodes:
        if each not in (old, heir):
            each.stop()  # else it gets a copy, and tells
    story.wait(5.0)
    before = world.database.snapshot()
    own = next(each for each in heir.disks if each.id == story.disk_of(heir))
    for mapper in story.mappers():
        story.cut(mapper, heir.name)
    for disk in old.disks:
        disk.healthy = False
    story.wait_until(lambda: story.placement().leader == heir.name)
    own.healthy = False
    world.network.cuts.clear()
    story.wait_until(lambda: heir.atlas[story.placement().id].leader == heir.name)
    world.database.restore(before)
    story.wait_until(lambda: heir.term == story.mapper().term and story.mapper().model.recovering)
    for disk in old.disks:
        disk.open()
    story.wait(2.5)  # they have told
    beats = heir.beats
    story.wait_until(lambda: heir.beats > beats)
    story.wait(0.8)
    own.open()
    story.wait_until(lambda: heir.beats > beats + 1)  # this one tells what the disk holds
    for _ in range(100):
        for kind, node in (("put", heir), ("get", old), ("get", heir)):
            story.act(node, kind, "k0")
        story.wait(0.05)
    story.wait(5.0)


def hand_over_and_part(story: Story) -> None:
    """The lead is handed over, and the old leader, which has yet to compare itself, is cut off from the new one."""
    story.act(story.leader, "put", "k0")
    story.wait(1.0)
    for one, other in ((story.leader, story.follower), (story.follower, story.leader)):
        story.cut(one.name, other.name)
    Orders(story.mapper()).lead(LeadOrder(story.placement().id, story.follower.name))
    story.wait_until(story.follower.replicas[story.placement().id].leads)


def replace_one_that_is_cut_off(story: Story) -> None:
    """The only one in sync is cut off, so who was comparing itself leads; the other must not read then."""
    hand_over_and_part(story)
    for mapper in story.mappers():
        story.cut(mapper, story.follower.name)
        story.cut(story.follower.name, mapper)
    story.wait_until(lambda: story.placement().leader == story.leader.name)
    story.wait(4.0)
    story.act(story.leader, "put", "k0")
    story.wait(0.5)
    for _ in range(20):
        story.act(story.follower, "get", "k0")
        story.wait(0.1)


def cut_off_the_leader(story: Story) -> None:
    """A leader is cut off from all servers and replaced, and hears of nothing; clients reach it."""
    story.act(story.leader, "put", "k0")
    story.wait(1.0)
    for other in (*story.mappers(), *(each.name for each in story.world.nodes if each is not story.leader)):
        story.cut(story.leader.name, other)
        story.cut(other, story.leader.name)
    story.wait_until(lambda: story.placement().leader == story.follower.name)
    story.wait(4.0)
    story.act(story.follower, "put", "k0")
    story.wait(0.5)
    for _ in range(20):
        story.act(story.leader, "get", "k0")
        story.wait(0.1)


def read_and_lose(story: Story) -> None:
    """A put reached the follower alone, which leads then and shows it; its disk is lost before another has it too."""
    world, old, heir = story.world, story.leader, story.follower
    story.act(old, "put", "k0")
    story.wait(1.0)
    hand_over_during_a_put(story)
    story.wait_until(heir.replicas[story.placement().id].leads)
    reads = 0
    while not reads:
        story.act(heir, "get", "k0")
        world.timeline.run(world.timeline.time + _SOON)
        reads = sum(each.kind == "get" and each.ended is not None for each in world.history.operations)
    assert world.history.operations[-1].value == "v2"
    member = story.placement().member(old.name)
    assert member is not None
    assert member.state == "comparing"
    heir.wipe(next(each for each in heir.disks if each.id == story.disk_of(heir)))
    story.wait_until(lambda: story.placement().leader == old.name)
    story.wait(4.0)
    story.act(old, "get", "k0")
    story.wait(1.0)
    assert world.history.operations[-1].ended is not None


STORIES: dict[str, Callable[[Story], None]] = {
    "late changes are taken": give_up_and_delete,
    "a key that was given up does not wait": give_up_beside_another,
    "repeats are not noted": repeat_and_delete,
    "others stay in sync": hand_over_in_the_middle,
    "no count_in": report_and_not_hear,
    "told before learned": tell_before_learning,
    "no promises": cut_off_the_leader,
    "what is compared is read": read_and_lose,
}
"""A rule that is left out, and what happens then."""


def tell(mutant: str, mutants: frozenset[str]) -> None:
    """:raises HistoryError: the story ended badly."""
    story = Story(mutants)
    STORIES[mutant](story)
    story.world.history.check()


@pytest.mark.parametrize("mutant", STORIES)
def test_with_the_rule_nothing_goes_wrong(mutant: str) -> None:
    tell(mutant, frozenset())


@pytest.mark.parametrize("mutant", STORIES)
def test_without_the_rule_it_goes_wrong(mutant: str) -> None:
    with pytest.raises(HistoryError):
        tell(mutant, frozenset({mutant}))


def test_who_was_replaced_by_one_that_compared_itself_reads_nothing_old() -> None:
    story = Story(frozenset())
    replace_one_that_is_cut_off(story)
    assert story.world.history.operations[-1].kind == "get"
    story.world.history.check()


def test_reads_go_on_without_a_member_that_the_leader_cannot_reach() -> None:
    story = Story(frozenset())
    story.act(story.leader, "put", "k0")
    story.wait(1.0)
    for pair in ((story.leader, story.follower), (story.follower, story.leader)):
        story.cut(pair[0].name, pair[1].name)
    for _ in range(80):
        story.act(story.leader, "get", "k0")
        story.wait(0.1)
    last = story.world.history.operations[-1]
    assert last.ended is not None
    assert last.value == "v1"
    story.world.history.check()


def test_what_was_acknowledged_is_there_when_the_only_copy_in_sync_is_lost_before_others_are_compared() -> None:
    story = Story(frozenset())
    hand_over_and_part(story)
    (alone,) = story.placement().in_sync()
    assert alone.server == story.follower.name
    story.follower.wipe(next(each for each in story.follower.disks if each.id == alone.disk_id))
    story.wait_until(lambda: story.placement().leader == story.leader.name)
    story.wait(4.0)
    for _ in range(5):
        story.act(story.leader, "get", "k0")
        story.wait(1.0)
    last = story.world.history.operations[-1]
    assert (last.kind, last.value) == ("get", "v1")
    story.world.history.check()
