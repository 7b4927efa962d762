"""What every database of a mapper must do: checks that take an open, empty one, and a way to open it a second time."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from drystone.base.errors import MismatchError
from drystone.fleet.documents import Bucket, Key, Member, Placement
from drystone.fleet.mapping.database import Database, NotLeadingError
from drystone.fleet.mapping.model import (
    BucketChange,
    Change,
    DiskChange,
    DiskRecord,
    DrillChange,
    DrillRecord,
    FleetChange,
    GroupChange,
    KeyChange,
    Leftover,
    LeftoverChange,
    PlacementChange,
    PlacementRemoval,
    ServerChange,
    ServerRecord,
)

_MEMBER = Member("s1", "data_1", "d1", "primary", "in_sync")
PLACEMENT = Placement("p1", "ns", "höst/ü", "höst", "exclusive", 1, "s1", (_MEMBER,))


def check_lease(database: Database) -> None:
    """One has it; it is prolonged without a new term; given back, the next one gets a higher term."""
    first = database.take_lease("one", "http://one", 60)
    assert (first.holder, first.url) == ("one", "http://one")
    assert database.take_lease("two", "http://two", 60) == first
    assert database.take_lease("one", "http://one", 60).term == first.term
    database.release_lease("two")
    assert database.take_lease("two", "http://two", 60) == first
    database.release_lease("one")
    second = database.take_lease("two", "http://two", 60)
    assert second.holder == "two"
    assert second.term > first.term


def check_expiry(database: Database) -> None:
    """A lease that has run out is anybody's, in a higher term."""
    first = database.take_lease("one", "http://one", -1)
    second = database.take_lease("two", "http://two", 60)
    assert second.holder == "two"
    assert second.term == first.term + 1


def check_term(database: Database) -> None:
    """The term can be raised by its holder only, never lowered; a commit in another term changes nothing."""
    lease = database.take_lease("one", "", 60)
    version = database.load().version
    database.raise_term("one", lease.term + 5)
    database.raise_term("one", 1)
    assert database.take_lease("one", "", 60).term == lease.term + 5
    _refuses(lambda: database.raise_term("two", 99), NotLeadingError)
    _refuses(lambda: database.commit(lease.term, version, [PlacementChange(PLACEMENT, 0, "new")], 1.0), NotLeadingError)
    assert database.load().placements == {}


def check_changes(database: Database) -> None:
    """Every kind of change is there when the database is read again, and can be taken back."""
    term = database.take_lease("one", "", 60).term
    version = database.load().version
    bucket = Bucket("ns", "exclusive", "owner", 5.0, 7, {"versioning": "Enabled"})
    key = Key("AK", "secret", {"*": "admin"})
    leftover = Leftover("p1", "d9", 12.5, due=True)
    changes: list[Change] = [
        PlacementChange(PLACEMENT, 0, "new"),
        ServerChange(ServerRecord("s1", "http://s1", alive=False), "new"),
        DiskChange(DiskRecord("d1", "s1", "data_1", "bad", "it smells"), "new"),
        LeftoverChange(leftover, "seen"),
        BucketChange(bucket, "made"),
        KeyChange(key, "made"),
        GroupChange("ns", "höst/ü", (1, 2, 3), "made"),
        DrillChange(DrillRecord("p1", 7.5, passed=False, objects=3, size=1 << 40, text="one is damaged"), "ns/höst"),
        FleetChange("another", recovering=True, why="found"),
    ]
    assert database.commit(term, version, changes, 1.0) == version + 1
    model = database.load()
    assert model.version == version + 1
    assert model.placements == {"p1": PLACEMENT}
    assert model.find("ns", "höst/ü") == PLACEMENT
    assert model.on_disk["d1"] == {"p1": "primary"}
    assert model.servers == {"s1": ServerRecord("s1", "http://s1", alive=False)}
    assert model.disks == {"d1": DiskRecord("d1", "s1", "data_1", "bad", "it smells")}
    assert model.leftovers == {("p1", "d9"): leftover}
    assert (model.buckets, model.keys) == ({"ns": bucket}, {"AK": key})
    assert model.groups == {("ns", "höst/ü"): (1, 2, 3)}
    assert (model.fleet, model.recovering) == ("another", True)
    assert model.drills == {"p1": DrillRecord("p1", 7.5, passed=False, objects=3, size=1 << 40, text="one is damaged")}
    assert [each.what for each in database.audit(4)] == ["fleet", "drill", "vbuckets", "key"]
    again = DrillRecord("p1", 8.5, passed=True, objects=4, size=5, text="well")
    version = database.commit(term, version + 1, [DrillChange(again, "ns/höst")], 1.5) - 1
    assert database.load().drills == {"p1": again}
    undone: list[Change] = [
        LeftoverChange(leftover, "gone", gone=True),
        BucketChange(bucket, "gone", gone=True),
        KeyChange(key, "gone", gone=True),
        PlacementRemoval("p1", "höst", 1, "ended"),
    ]
    database.commit(term, version + 1, undone, 2.0)
    model = database.load()
    assert (model.placements, model.leftovers, model.buckets, model.keys) == ({}, {}, {}, {})
    assert (model.removed, model.drills, model.groups) == ({"p1"}, {}, {})
    assert "höst" in model.folders
    back = msgspec.structs.replace(PLACEMENT, epoch=9)
    database.commit(term, model.version, [PlacementChange(back, 0, "remembered")], 3.0)
    model = database.load()
    assert (model.placements, model.removed) == ({"p1": back}, set())


def check_led_past(database: Database) -> None:
    """What was led past a lost database is known until the rebuilding ends, or another begins."""
    term = database.take_lease("one", "", 60).term
    model = database.load()
    for more in (True, False):
        begun = FleetChange(model.fleet, recovering=True, why="begun")
        version = database.commit(term, database.load().version, [begun], 1.0)
        epoch = database.load().placements["p1"].epoch if not more else 0
        after = msgspec.structs.replace(PLACEMENT, epoch=epoch + 1000)
        version = database.commit(term, version, [PlacementChange(after, epoch, "led", led_past=True)], 1.0)
        assert database.load().led_past == {"p1"}
        on = msgspec.structs.replace(after, epoch=after.epoch + 1)
        version = database.commit(term, version, [PlacementChange(on, after.epoch, "a copy")], 1.0)
        assert database.load().led_past == {"p1"}, "it is as far as it was"
        database.commit(term, version, [FleetChange(model.fleet, recovering=more, why="anew, or ended")], 1.0)
        assert database.load().led_past == set()


def check_compare_and_set(database: Database) -> None:
    """A placement changes from the epoch that is named only, a host has one placement, the version must be known."""
    term = database.take_lease("one", "", 60).term
    version = database.commit(term, database.load().version, [PlacementChange(PLACEMENT, 0, "new")], 1.0)
    second = msgspec.structs.replace(PLACEMENT, epoch=2)
    server = ServerChange(ServerRecord("s9", "http://s9"), "new")
    for wrong in (
        PlacementChange(second, 7, "from an epoch that it has not"),
        PlacementChange(PLACEMENT, 0, "made again"),
        PlacementChange(msgspec.structs.replace(PLACEMENT, id="p2"), 0, "another of that host"),
        PlacementRemoval("p1", "h", 4, "from an epoch that it has not"),
    ):
        _refuses(lambda wrong=wrong: database.commit(term, version, [server, wrong], 1.0), MismatchError)  # type: ignore[misc]
    _refuses(lambda: database.commit(term, version - 1, [server], 1.0), MismatchError)
    assert database.load().servers == {}, "a commit is whole or not at all"
    database.commit(term, version, [PlacementChange(second, 1, "on")], 1.0)
    assert database.load().placements == {"p1": second}


def _refuses(action: Callable[[], object], kind: type[Exception]) -> None:
    try:
        action()
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


CHECKS: tuple[Callable[[Database], None], ...] = (
    check_lease,
    check_expiry,
    check_term,
    check_changes,
    check_led_past,
    check_compare_and_set,
)
