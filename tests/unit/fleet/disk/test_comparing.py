"""Two copies compared: the leader's pages, and what a member finds by them."""

from __future__ import annotations

import sqlite3

import msgspec
import pytest

from drystone.base.errors import DamagedError, MismatchError
from drystone.fleet.disk.changes import Compared, ComparedPage
from drystone.fleet.replica import make_seq
from drystone.testing.fleet.disk_world import EPOCH, PLACEMENT, DiskWorld, read_state, remove_absent

ALL = make_seq(EPOCH + 1, 0)
"""Above all that was made."""


def keys(found: tuple[Compared, ...]) -> list[tuple[str, str]]:
    return [(each.key, each.version_id) for each in found]


def test_a_page_says_up_to_where_nothing_is_open(world: DiskWorld) -> None:
    world.put("h/a", 3)
    body = world.body(b"new")
    change = world.put_change("h/b", "null", b"", body)
    intent = world.disk.prepare(change, body)
    world.put("h/c", 3)
    page = world.disk.compare(PLACEMENT, "", 10)
    assert page.as_of == change.info.seq - 1
    assert keys(page.entries) == [("h/a", "null"), ("h/c", "null")]
    world.disk.commit(intent)
    page = world.disk.compare(PLACEMENT, "", 10)
    assert page.as_of == max(each.seq for each in page.entries)
    world.disk.release(PLACEMENT, world.disk.take_seq(PLACEMENT, EPOCH))
    assert world.disk.compare(PLACEMENT, "", 10).as_of == page.as_of + 1


def test_a_page_has_keys_in_the_order_of_their_bytes_and_the_latest_version_first(world: DiskWorld) -> None:
    for key, version in (("h/ü", "null"), ("h/b", "1"), ("h/b", "3"), ("h/b", "2"), ("h/a\U0001f600", "null")):
        world.put(key, 3, version)
    world.mark("h/b", "4")
    page = world.disk.compare(PLACEMENT, "", 100)
    versions = [("h/b", each) for each in "4231"]
    assert keys(page.entries) == [("h/a\U0001f600", "null"), *versions, ("h/ü", "null")]
    for each in page.entries:
        entry = world.disk.find(PLACEMENT, each.key, each.version_id)
        assert entry is not None
        digest = "" if entry.info.delete_marker else entry.info.digest
        assert each == Compared(each.key, each.version_id, entry.info.seq, entry.made, entry.info.size, digest)
    assert [each.digest == "" for each in page.entries] == [False, True, False, False, False, False]


def test_only_what_is_older_or_lacking_is_wanted_and_what_the_leader_could_know_is_told(world: DiskWorld) -> None:
    for key in ("h/older", "h/same", "h/odd", "h/direct", "h/only here"):
        world.put(key, 3)
    own = {key: version.seq for (key, _), version in world.state.items()}
    seqs = {"h/older": 1, "h/same": 0, "h/odd": -1, "h/direct": -1}
    entries = [Compared(key, "null", own[key] + more, 1, 3, "") for key, more in seqs.items()]
    entries += [Compared("h/lacking", "null", 5, 5, 3, ""), Compared("h/same", "another", 5, 5, 3, "")]
    page = ComparedPage(tuple(sorted(entries, key=lambda each: each.key)), own["h/odd"], "")
    lacking, odd = world.disk.differing(PLACEMENT, "", page)
    assert keys(lacking) == [("h/lacking", "null"), ("h/older", "null"), ("h/same", "another")]
    assert odd == {"h/odd"}
    rest = msgspec.structs.replace(page, entries=page.entries[3:])
    assert keys(world.disk.differing(PLACEMENT, page.entries[2].key, rest)[0]) == [
        each for each in keys(lacking) if each in keys(rest.entries)
    ]
    assert world.disk.differing(PLACEMENT, "", ComparedPage((), ALL, "")) == ((), set())


def test_what_a_page_lacks_is_removed_unless_it_is_newer(world: DiskWorld) -> None:
    for key in ("h/a", "h/b", "h/c"):
        world.put(key, 3)
    middle = world.state["h/b", "null"].seq
    assert remove_absent(world.disk, "", ComparedPage((), middle, "")) == 2
    assert [key for key, _ in read_state(world.disk)] == ["h/c"]
    assert remove_absent(world.disk, "h/c", ComparedPage((), ALL, "")) == 0
    assert remove_absent(world.disk, "h/a", ComparedPage((), ALL, "h/b")) == 0
    assert remove_absent(world.disk, "h/b", ComparedPage((), ALL, "h/c")) == 1


def test_a_search_for_what_a_page_lacks_ends_after_a_whole_key_and_goes_on_from_there(world: DiskWorld) -> None:
    for key, version in (("h/a", "1"), ("h/b", "1"), ("h/b", "2"), ("h/b", "3"), ("h/c", "1"), ("h/d", "1")):
        world.put(key, 3, version)
    page = ComparedPage((world.disk.compare(PLACEMENT, "h/b", 1).entries[0],), ALL, "")
    first, after = world.disk.absent(PLACEMENT, "", page, 2)
    assert (keys(first), after) == ([("h/a", "1"), ("h/b", "3"), ("h/b", "2"), ("h/b", "1")], "h/b")
    assert world.disk.absent(PLACEMENT, "", page, 4) == (first, "h/b")
    rest, after = world.disk.absent(PLACEMENT, "h/b", page, 2)
    assert (keys(rest), after) == ([("h/d", "1")], "")
    assert remove_absent(world.disk, "", page, limit=1) == 5


def test_what_was_changed_since_is_not_removed(world: DiskWorld) -> None:
    world.put("h/a", 3)
    (absent,), _ = world.disk.absent(PLACEMENT, "", ComparedPage((), ALL, ""), 1)
    world.put("h/a", 4)
    assert not world.disk.remove_compared(PLACEMENT, absent)
    world.remove("h/a")
    assert not world.disk.remove_compared(PLACEMENT, absent)
    assert read_state(world.disk) == world.state


def test_a_page_of_an_earlier_epoch_removes_nothing(world: DiskWorld) -> None:
    """Whoever compared itself with that leader may lead by now, and have shown what the page lacks."""
    world.put("h/a", 3)
    page = ComparedPage((), ALL, "")
    with pytest.raises(MismatchError):
        remove_absent(world.disk, "", page, epoch=EPOCH - 1)
    assert [key for key, _ in read_state(world.disk)] == ["h/a"]
    assert remove_absent(world.disk, "", page, epoch=EPOCH) == 1


def test_a_row_that_is_none_of_ours_is_damage(world: DiskWorld) -> None:
    world.put("h/a", 3)

    def damage(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE objects SET key = x'ff'")

    world.disk._disk.write("damage", damage)
    with pytest.raises(DamagedError, match="damaged row"):
        world.disk.compare(PLACEMENT, "", 10)
