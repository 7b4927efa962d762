"""A mapper: its lease, what it answers, and how it notices that its database is an old one."""

import contextlib

import msgspec
import pytest

from drystone.base.errors import MismatchError, NotFoundError, RefusedError, UnavailableError
from drystone.fleet.documents import Allocation, Bucket, Heartbeat, Held, Placement, Report
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.epochs import measure_leap
from drystone.fleet.mapping.mapper import Mapper
from drystone.fleet.mapping.model import BucketChange, Model
from drystone.fleet.mapping.rules import Rules
from drystone.testing.fleet.sketch import Sketch
from drystone.testing.fleet.world.database import MemoryDatabase
from drystone.testing.fleet.world.time import Timeline


class Fleet:
    """A mapper with three storage servers that are only heartbeats."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.clock = Timeline()
        self.database = MemoryDatabase(self.clock.monotonic)
        self.rules = rules or Rules()
        self.sketch = Sketch()
        self.mapper = self.start("m1")
        self.mapper.tick()
        self.beats(held=())
        self.mapper.commit([BucketChange(Bucket("ns", "shared", "", 0.0), "made")])

    def start(self, name: str, *, recover: bool = False) -> Mapper:
        return Mapper(self.database, self.rules, self.clock, id=name, url=f"http://{name}", recover=recover)

    def beat(self, server: str, *, held: tuple[Held, ...] | None = None, term: int | None = None) -> Heartbeat:
        beat = self.sketch.beat(server, held=held, term=self.mapper.term if term is None else term)
        return msgspec.structs.replace(beat, map_version=self.mapper.model.version, uptime=self.clock.time)

    def beats(self, *, held: tuple[Held, ...] | None = None) -> None:
        for server in self.sketch.servers:
            self.mapper.heartbeat(msgspec.structs.replace(self.beat(server, held=held), fleet=self.mapper.model.fleet))

    def held(self, placement: Placement) -> tuple[Held, ...]:
        """What its disks hold of it."""
        return tuple(Held(placement, each.disk_id, each.slot, 1, 1) for each in placement.members)

    def live(self, seconds: float, *silent: str) -> None:
        """Let time pass, with ticks and heartbeats."""
        for _ in range(int(seconds * 2)):
            self.clock.time += 0.5
            self.mapper.tick()
            for server in self.sketch.servers:
                if server not in silent:
                    self.mapper.heartbeat(msgspec.structs.replace(self.beat(server), fleet=self.mapper.model.fleet))

    def host(self, name: str = "h") -> Placement:
        return self.mapper.allocate(Allocation("ns", name))


def test_one_of_two_mappers_leads_and_the_other_says_who() -> None:
    fleet = Fleet()
    other = fleet.start("m2")
    other.tick()
    assert not other.leads()
    with pytest.raises(NotLeadingError) as caught:
        other.allocate(Allocation("ns", "h"))
    assert caught.value.url == "http://m1"
    fleet.clock.time += 7
    other.tick()
    assert other.leads()
    assert other.term == fleet.mapper.term + 1
    with pytest.raises(NotLeadingError):
        fleet.host()


def test_a_mapper_that_lost_its_lease_without_knowing_changes_nothing() -> None:
    fleet = Fleet()
    fleet.database.take_lease("m1", "", -1)
    fleet.database.take_lease("m2", "http://m2", 60)
    with pytest.raises(NotLeadingError):
        fleet.host()
    assert fleet.database.load().placements == {}
    with pytest.raises(NotLeadingError):
        fleet.mapper.check_leads()


def test_the_lease_is_given_back_at_the_end() -> None:
    fleet = Fleet()
    fleet.mapper.release()
    other = fleet.start("m2")
    other.tick()
    assert other.leads()


def test_a_host_keeps_its_placement() -> None:
    fleet = Fleet()
    placement = fleet.host()
    assert fleet.host() == placement
    assert len(placement.in_sync()) == 2
    assert fleet.mapper.map().placements == (placement,)


def test_a_new_mapper_waits_for_all_servers_before_it_places_anything() -> None:
    fleet = Fleet()
    fleet.mapper.release()
    fleet.mapper = fleet.start("m2")
    fleet.mapper.tick()
    fleet.mapper.heartbeat(fleet.beat("s1"))
    with pytest.raises(UnavailableError, match="not all storage servers"):
        fleet.host()
    fleet.live(7)
    fleet.host()


def test_a_report_drops_members_and_takes_them_in() -> None:
    fleet = Fleet()
    before = fleet.host()
    follower = before.members[1].server
    after, heard = fleet.mapper.report(Report(before.id, 1, before.leader, drop=(follower,)))
    assert heard
    assert [each.server for each in after.members] == [before.leader]
    assert after.epoch == 2
    fleet.live(4)
    assert fleet.mapper.model.placements[before.id] == after, "it is left in peace for a while"
    fleet.live(3)
    third = fleet.mapper.model.placements[before.id]
    assert [each.state for each in third.members] == ["in_sync", "copying"]
    fourth, _ = fleet.mapper.report(Report(before.id, 3, before.leader, in_sync=(third.members[1].server,)))
    assert len(fourth.in_sync()) == 2


def test_a_report_of_an_older_epoch_or_of_another_server_changes_nothing() -> None:
    fleet = Fleet()
    placement = fleet.host()
    for report in (
        Report(placement.id, 0, placement.leader, drop=(placement.members[1].server,)),
        Report(placement.id, 1, placement.members[1].server, drop=(placement.leader,)),
    ):
        assert fleet.mapper.report(report) == (placement, False)
    with pytest.raises(NotFoundError):
        fleet.mapper.report(Report("none", 1, "s1"))


def test_a_leader_cannot_drop_itself() -> None:
    fleet = Fleet()
    placement = fleet.host()
    after, _ = fleet.mapper.report(Report(placement.id, 1, placement.leader, drop=(placement.leader,)))
    assert after.members == placement.members


def test_a_leader_on_a_bad_disk_drops_nobody() -> None:
    fleet = Fleet()
    placement = fleet.host()
    fleet.sketch.health[placement.members[0].disk_id] = "bad"
    fleet.clock.time += 1
    fleet.beats()
    with pytest.raises(UnavailableError, match="is bad"):
        fleet.mapper.report(Report(placement.id, 1, placement.leader, drop=(placement.members[1].server,)))


def test_a_disk_that_two_servers_have_stays_where_it_was() -> None:
    fleet = Fleet()
    fleet.sketch.disks["s2"].append("s1-1")
    fleet.clock.time += 1
    fleet.beats()
    assert fleet.mapper.model.disks["s1-1"].server == "s1"
    fleet.sketch.disks["s1"].remove("s1-1")
    fleet.clock.time += 1
    fleet.beats()
    assert fleet.mapper.model.disks["s1-1"].server == "s2"


def test_failover_takes_seven_seconds() -> None:
    fleet = Fleet()
    placement = fleet.host()
    fleet.live(7, placement.leader)
    after = fleet.mapper.model.placements[placement.id]
    assert after.leader == placement.members[1].server
    assert fleet.mapper.map().servers[int(placement.leader[1]) - 1].alive is False


def test_servers_that_are_not_in_the_list_are_refused() -> None:
    fleet = Fleet(Rules(servers=frozenset({"s1", "s2", "s3"})))
    with pytest.raises(RefusedError, match="not in the mapper's list"):
        fleet.mapper.heartbeat(msgspec.structs.replace(fleet.beat("s1"), server="s9"))


def test_disks_of_another_fleet_are_refused() -> None:
    fleet = Fleet()
    fleet.host()
    with pytest.raises(MismatchError, match="belong to fleet other"):
        fleet.mapper.heartbeat(msgspec.structs.replace(fleet.beat("s1"), fleet="other"))


def test_after_a_commit_whose_end_is_not_known_the_database_is_read_again() -> None:
    fleet = Fleet()
    fleet.database.lie = lambda: True
    with pytest.raises(UnavailableError):
        fleet.host()
    fleet.database.lie = lambda: False
    placement = fleet.host()
    assert fleet.database.load().placements == {placement.id: placement}
    assert not fleet.mapper.model.recovering


def test_a_lost_database_is_filled_from_the_disks() -> None:
    fleet = Fleet(Rules(servers=frozenset({"s1", "s2", "s3"})))
    placement = fleet.host()
    fleet.database.restore(None)
    fleet.clock.time += 7
    fleet.mapper = fleet.start("m2")
    fleet.mapper.tick()
    assert fleet.mapper.model.placements == {}
    for _ in range(2):
        for server in fleet.sketch.servers:
            held = tuple(
                Held(placement, each.disk_id, each.slot, 1, 1) for each in placement.members if each.server == server
            )
            fleet.mapper.heartbeat(msgspec.structs.replace(fleet.beat(server, held=held), fleet="fleet"))
            if server == "s1":
                with pytest.raises(UnavailableError, match="being rebuilt"):
                    fleet.host("new")
        fleet.clock.time += 1
    fleet.mapper.tick()
    after = fleet.mapper.model.find("ns", "h")
    assert after is not None
    assert (after.id, after.members) == (placement.id, placement.members)
    assert fleet.mapper.model.fleet == "fleet"
    assert not fleet.mapper.model.recovering


def test_a_database_that_went_back_under_a_mapper_is_noticed() -> None:
    fleet = Fleet()
    saved = fleet.database.snapshot()
    fleet.host("one")
    fleet.database.restore(saved)
    fleet.database.model.recovering = False
    with pytest.raises(MismatchError):
        fleet.host("two")
    for _ in range(2):  # the lease is another mapper's, or nobody's, first
        fleet.clock.time += 7
        with contextlib.suppress(NotLeadingError):
            fleet.mapper.tick()
    assert fleet.mapper.leads()
    assert fleet.mapper.model.recovering


def test_a_server_that_knows_a_higher_term_shows_that_the_database_is_old() -> None:
    fleet = Fleet()
    fleet.mapper.heartbeat(msgspec.structs.replace(fleet.beat("s1", term=40), fleet=fleet.mapper.model.fleet))
    assert fleet.mapper.term > 40
    assert fleet.mapper.model.recovering


def test_a_server_that_had_a_newer_map_of_the_term_before_shows_that_the_database_is_old() -> None:
    """Else a copy that was dropped since would be made leader, as the disk with the only complete one is away."""
    fleet = Fleet()
    placement = fleet.host()
    saved = fleet.database.snapshot()
    term, leader, other = fleet.mapper.term, placement.leader, placement.members[1].server
    fleet.mapper.report(Report(placement.id, 1, leader, drop=(other,)))
    version = fleet.mapper.model.version
    fleet.database.restore(saved, told=False)
    fleet.mapper = fleet.start("m2")
    fleet.mapper.tick()
    own = placement.member(leader)
    assert own is not None
    fleet.sketch.health[own.disk_id] = "missing"
    for server in (other, *fleet.sketch.servers):
        beat = msgspec.structs.replace(fleet.beat(server, term=term), map_version=version)
        fleet.mapper.heartbeat(msgspec.structs.replace(beat, fleet=fleet.mapper.model.fleet))
        fleet.mapper.tick()
    assert fleet.mapper.model.recovering
    assert fleet.mapper.model.placements[placement.id].leader == leader
    fleet.mapper.end_recovery("an operator says so")
    beat = msgspec.structs.replace(fleet.beat(other, term=term), map_version=version)
    fleet.mapper.heartbeat(msgspec.structs.replace(beat, fleet=fleet.mapper.model.fleet))
    assert not fleet.mapper.model.recovering, "the same news is not told twice"


def test_the_newest_map_of_the_term_before_is_no_sign_of_an_old_database() -> None:
    fleet = Fleet()
    fleet.host()
    term, version = fleet.mapper.term, fleet.mapper.model.version
    fleet.mapper.release()
    fleet.mapper = fleet.start("m2")
    fleet.mapper.tick()
    for server in fleet.sketch.servers:
        fleet.mapper.heartbeat(
            msgspec.structs.replace(fleet.beat(server, term=term), map_version=version, fleet=fleet.mapper.model.fleet)
        )
    assert not fleet.mapper.model.recovering


def test_what_a_database_that_was_put_back_may_have_decided_is_overruled_before_anything_else_is() -> None:
    fleet = Fleet(Rules(servers=frozenset({"s1", "s2", "s3"})))
    placement = fleet.host()
    fleet.mapper.release()
    fleet.mapper = fleet.start("m2", recover=True)
    fleet.mapper.tick()
    drop = Report(placement.id, 1, placement.leader, drop=(placement.members[1].server,))
    fleet.beats(held=tuple(Held(placement, each.disk_id, each.slot, 1, 1) for each in placement.members))
    with pytest.raises(UnavailableError, match="being rebuilt"):  # all have told, none knows better: not yet overruled
        fleet.mapper.report(drop)
    fleet.mapper.tick()
    after = fleet.mapper.model.placements[placement.id]
    overruling = 1 + measure_leap(fleet.mapper.term)
    assert (after.epoch, after.leader, after.members) == (overruling, placement.leader, placement.members)
    assert not fleet.mapper.model.recovering
    fleet.live(3)
    assert fleet.mapper.model.placements[placement.id].epoch == overruling, "once is enough"


def test_mappers_that_take_a_rebuilding_over_use_no_epochs_for_what_was_led_past_already() -> None:
    """As in a loop of crashes while a server is away, and the rebuilding cannot end."""
    fleet = Fleet(Rules(servers=frozenset({"s1", "s2", "s3", "away"})))
    placement = fleet.host()
    fleet.mapper.release()
    fleet.mapper = fleet.start("m2", recover=True)
    fleet.mapper.tick()
    for number in range(30):
        fleet.beats(held=fleet.held(placement))
        fleet.mapper.tick()
        assert fleet.mapper.model.recovering
        fleet.clock.time += 7
        fleet.mapper = fleet.start(f"m{number + 3}")
        fleet.mapper.tick()
    epoch = fleet.database.model.placements[placement.id].epoch
    assert 1000 < epoch < 6000
    fleet.beats(held=fleet.held(placement))
    fleet.mapper.tick()
    drop = Report(placement.id, epoch, placement.leader, drop=(placement.members[1].server,))
    assert fleet.mapper.report(drop)[1], "it is decided about"


def test_what_disks_know_better_than_a_rebuilding_has_it_begin_anew() -> None:
    """The database was put back to where the rebuilding had been, and nobody said so."""
    fleet = Fleet(Rules(servers=frozenset({"s1", "s2", "s3", "away"})))
    placement, other = fleet.host(), fleet.host("other")
    fleet.mapper.release()
    fleet.mapper = fleet.start("m2", recover=True)
    fleet.mapper.tick()
    fleet.beats(held=fleet.held(placement) + fleet.held(other))
    fleet.mapper.tick()
    before = dict(fleet.mapper.model.placements)
    assert fleet.mapper.model.led_past == set(before)
    ahead = msgspec.structs.replace(before[placement.id], epoch=before[placement.id].epoch + 1)
    term = fleet.mapper.term
    fleet.beats(held=fleet.held(ahead))
    fleet.mapper.tick()
    assert fleet.mapper.term > term
    assert fleet.mapper.model.led_past == set()
    fleet.beats(held=fleet.held(ahead) + fleet.held(other))
    fleet.mapper.tick()
    after = fleet.mapper.model.placements
    assert fleet.mapper.model.led_past == set(after)
    assert all(after[each].epoch >= before[each].epoch + 1000 for each in before), "what it knew of others, too"


def test_an_operator_who_put_the_database_back_into_a_rebuilding_has_it_begin_anew() -> None:
    fleet = Fleet(Rules(servers=frozenset({"s1", "s2", "s3", "away"})))
    placement = fleet.host()
    fleet.mapper.release()
    epochs = []
    for name in ("m2", "m3"):
        fleet.mapper = fleet.start(name, recover=True)
        fleet.mapper.tick()
        assert fleet.mapper.model.led_past == set()
        fleet.beats(held=fleet.held(placement))
        fleet.mapper.tick()
        epochs.append(fleet.mapper.model.placements[placement.id].epoch)
        fleet.mapper.release()
    assert epochs[1] >= epochs[0] + 1000


def test_what_an_operator_said_at_the_start_is_not_forgotten_when_the_database_is_silent_then() -> None:
    class Silent(MemoryDatabase):
        loads = 0

        def load(self) -> Model:
            self.loads += 1
            if self.loads == 1:
                raise UnavailableError("the database does not answer")
            return super().load()

    fleet = Fleet(Rules(servers=frozenset({"s1", "s2", "s3"})))
    database = Silent(fleet.clock.monotonic)
    mapper = Mapper(database, fleet.rules, fleet.clock, id="m9", url="http://m9", recover=True)
    with pytest.raises(UnavailableError):
        mapper.tick()
    mapper.tick()
    assert mapper.model.recovering


def test_an_operator_ends_the_rebuilding() -> None:
    fleet = Fleet()
    placement = fleet.host()
    fleet.mapper.release()
    fleet.mapper = fleet.start("m2", recover=True)
    fleet.mapper.tick()
    with pytest.raises(UnavailableError, match="being rebuilt"):
        fleet.mapper.report(Report(placement.id, 1, placement.leader, drop=(placement.members[1].server,)))
    fleet.mapper.end_recovery("an operator says so")
    after = fleet.mapper.model.placements[placement.id]
    assert not fleet.mapper.model.recovering
    assert after.epoch > 20_000, "what a missing disk may know better is overruled"


def test_an_operator_ends_the_rebuilding_for_good() -> None:
    """The database is lost and a disk as well: what the other disk has is served, and nothing begins again."""
    fleet = Fleet(Rules(servers=frozenset({"s1", "s2", "s3"})))
    placement = fleet.host()
    away = placement.members[1].server
    fleet.database.restore(None)
    fleet.clock.time += 7
    fleet.mapper = fleet.start("m2")
    fleet.mapper.tick()

    def tell() -> None:
        for server in fleet.sketch.servers:
            if server != away:
                held = tuple(each for each in fleet.held(placement) if each.disk_id.startswith(server))
                fleet.mapper.heartbeat(msgspec.structs.replace(fleet.beat(server, held=held), fleet="fleet"))
        fleet.mapper.tick()

    tell()
    tell()
    assert [each.missing for each in fleet.mapper.waiting] == [(placement.members[1].disk_id,)]
    fleet.mapper.end_recovery("an operator says so")
    tell()
    assert not fleet.mapper.model.recovering
    after = fleet.mapper.model.find("ns", "h")
    assert after is not None
    assert (after.id, after.leader) == (placement.id, placement.leader)
    fleet.host("new")


def test_a_server_whose_map_is_newer_than_a_database_that_was_put_back_is_given_the_map_of_the_new_term() -> None:
    fleet = Fleet()
    mapper = fleet.mapper
    fleet.beats(held=())
    before = mapper.term
    ahead = msgspec.structs.replace(fleet.beat("s1"), fleet=mapper.model.fleet, map_version=mapper.model.version + 1)
    answer = mapper.heartbeat(ahead)
    assert mapper.model.recovering
    assert mapper.model.version == ahead.map_version, "the case is the one in which the versions are the same again"
    assert answer.map is not None
    assert answer.map.term == answer.term > before


def test_a_host_gets_its_second_copy_when_a_disk_has_room_again() -> None:
    fleet = Fleet()
    placement = fleet.host()
    others = [each for each in fleet.sketch.servers if each != placement.leader]
    for server in others:
        for disk in fleet.sketch.disks[server]:
            fleet.sketch.free[disk] = 0
    fleet.live(1)
    fleet.mapper.report(Report(placement.id, 1, placement.leader, drop=(placement.members[1].server,)))
    fleet.live(20)
    assert len(fleet.mapper.model.placements[placement.id].members) == 1
    fleet.sketch.free.clear()
    fleet.live(7)
    assert len(fleet.mapper.model.placements[placement.id].members) == 2
    assert not fleet.mapper.sightings.pauses, "pauses that are over are forgotten"


def test_servers_are_asked_what_they_hold_of_a_new_host_once_it_can_have_objects() -> None:
    fleet = Fleet()
    fleet.beats(held=())

    def wants(server: str, held: tuple[Held, ...] | None = None) -> bool:
        return fleet.mapper.heartbeat(fleet.beat(server, held=held)).want_held

    assert not wants("s1")
    placement = fleet.host()
    has = {each.server for each in placement.members}
    assert [wants(each) for each in fleet.sketch.servers] == [False, False, False]
    for seconds in (1, 4):
        fleet.clock.time += seconds
        assert {each for each in fleet.sketch.servers if wants(each)} == has
        assert {each for each in fleet.sketch.servers if wants(each, held=())} == set()
        assert {each for each in fleet.sketch.servers if wants(each)} == set()
