from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from drystone.base.errors import (
    DamagedError,
    ExhaustedError,
    MismatchError,
    NotFoundError,
    RefusedError,
    UnavailableError,
    UsageError,
)
from drystone.fleet.disk.changes import Change, PartRecord
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.identity import initialize
from drystone.fleet.objects import ObjectInfo, PutOptions, UploadInfo
from drystone.fleet.replica import make_seq
from drystone.testing.fleet.disk_world import (
    EPOCH,
    FLEET,
    PLACEMENT,
    DiskWorld,
    check_whole,
    make_disk,
    placement,
    read_state,
)


def test_objects_lie_as_plain_files_where_people_look(world: DiskWorld) -> None:
    world.put("h/sub/dir/file", 100)
    path = world.disk.root / "primary/h/sub/dir/file"
    assert path.read_bytes() == world.state["h/sub/dir/file", "null"].data
    entry = world.disk.find(PLACEMENT, "h/sub/dir/file")
    assert entry is not None
    assert path.stat().st_mtime == entry.info.modified


def test_an_overwritten_object_keeps_its_old_bytes_for_who_reads_them(world: DiskWorld) -> None:
    world.put("h/a", 100)
    old = world.state["h/a", "null"].data
    with world.disk.open_version(PLACEMENT, "h/a") as reader:
        world.put("h/a", 50)
        world.remove("h/a")
        assert b"".join(bytes(each) for each in reader.read(0, 100)) == old


def test_a_deleted_object_leaves_no_empty_folders(world: DiskWorld) -> None:
    world.put("h/a/b/c", 5)
    world.put("h/a/d", 5)
    world.remove("h/a/b/c")
    assert [path.name for path in (world.disk.root / "primary/h").rglob("*")] == ["a", "d"]
    world.remove("h/a/d")
    assert list((world.disk.root / "primary/h").iterdir()) == []


def test_keys_that_clash_on_a_file_system_are_all_kept(world: DiskWorld) -> None:
    keys = ["h/a/b", "h/a", "h/a/", "h/a//b", "h/../../x", "h/" + "y" * 300, "h/a\0", "h/Ä", "h/A\u0308", "h/"]
    for key in keys:
        world.put(key, 11)
    assert read_state(world.disk) == world.state
    check_whole(world.disk, world.state)
    assert sorted(path.name for path in (world.disk.root / "primary/h").iterdir()) == ["A\u0308", "a", "Ä"]
    assert not (world.disk.root.parent / "x").exists()


def test_a_file_that_somebody_put_there_is_not_touched(world: DiskWorld) -> None:
    folder = world.disk.root / "primary/h"
    folder.mkdir(parents=True)
    (folder / "a").write_text("somebody's")
    (folder / "b").mkdir()
    world.put("h/a", 9)
    world.put("h/b", 9)
    world.put("h/a/c", 9)
    assert (folder / "a").read_text() == "somebody's"
    assert read_state(world.disk) == world.state
    assert list(world.disk.strays()) == ["primary/h/a"]


@pytest.mark.parametrize("key", ["", "x/a", "h", "h/\ud800"])
def test_a_key_that_is_none_of_the_host_is_refused(world: DiskWorld, key: str) -> None:
    body = world.body(b"x")
    with pytest.raises(UsageError):
        world.disk.apply(world.put_change(key, "null", b"", body), body)
    with pytest.raises(UsageError):
        world.disk.prepare(world.put_change(key, "null", b"", None))
    assert read_state(world.disk) == {}


def test_a_body_that_is_not_what_the_change_says_is_refused(world: DiskWorld) -> None:
    body = world.body(b"x" * 10)
    change = world.put_change("h/a", "null", b"", body)
    for info in (dataclasses.replace(change.info, size=11), dataclasses.replace(change.info, digest="0" * 64)):
        with pytest.raises(MismatchError, match="were to come"):
            world.disk.apply(msgspec.structs.replace(change, info=info), world.body(b"x" * 10))
    assert list((world.disk.root / ".drystone/temp").iterdir()) != []
    body.abandon()
    body.abandon()
    assert list((world.disk.root / ".drystone/temp").iterdir()) == []


def test_a_put_without_bytes_and_a_marker_with_some_are_refused(world: DiskWorld) -> None:
    change = world.put_change("h/a", "null", b"", None)
    with pytest.raises(MismatchError, match="without its bytes"):
        world.disk.apply(change)
    body = world.body(b"x")
    marker = dataclasses.replace(world.put_change("h/a", "null", b"", body).info, delete_marker=True)
    with pytest.raises(MismatchError, match="without its bytes"):
        world.disk.apply(Change("put", PLACEMENT, marker, marker.seq), body)
    check_whole(world.disk, {})


def test_an_older_or_repeated_change_is_not_applied(world: DiskWorld) -> None:
    first, second = world.body(b"one"), world.body(b"two")
    older = world.put_change("h/a", "null", b"", first)
    newer = world.put_change("h/a", "null", b"", second)
    assert world.disk.apply(newer, second)
    assert not world.disk.apply(older, first)
    assert not world.disk.apply(newer, world.body(b"two"))
    with world.disk.open_version(PLACEMENT, "h/a") as reader:
        assert bytes(reader.read_piece(0)) == b"two"
    assert list((world.disk.root / ".drystone/temp").iterdir()) == []


def test_a_remembered_removal_wins_over_an_older_put(world: DiskWorld) -> None:
    body, again = world.body(b"one"), world.body(b"one")
    put = world.put_change("h/a", "null", b"", body)
    info = ObjectInfo("h/a", 0, 0.0, "", "", put.info.seq + 1)
    assert world.disk.apply(Change("remove", PLACEMENT, info, 0, remember=True))
    assert not world.disk.apply(put, body)
    assert world.disk.find(PLACEMENT, "h/a") is None
    world.disk.forget_removals(PLACEMENT)
    assert world.disk.apply(put, again)


def test_an_update_changes_what_is_said_and_not_the_bytes(world: DiskWorld) -> None:
    world.put("h/a", 10, "v1")
    world.put("h/a", 12, "v2")
    entry = world.disk.find(PLACEMENT, "h/a", "v1")
    assert entry is not None
    info = dataclasses.replace(
        entry.info, tags={"a": "b"}, lock={"hold": "ON"}, seq=world.disk.take_seq(PLACEMENT, EPOCH)
    )
    world.disk.commit(world.disk.prepare(Change("update", PLACEMENT, info, entry.made)))
    found = world.disk.find(PLACEMENT, "h/a", "v1")
    assert found is not None
    assert (found.info.tags, found.info.lock, found.info.seq, found.made) == (
        {"a": "b"},
        {"hold": "ON"},
        info.seq,
        entry.made,
    )
    assert not found.info.latest
    missing = dataclasses.replace(info, version_id="v9", seq=info.seq + 1)
    with pytest.raises(NotFoundError, match="v9"):
        world.disk.apply(Change("update", PLACEMENT, missing, entry.made))


def test_versions_are_kept_and_the_one_before_comes_back(world: DiskWorld) -> None:
    for number in range(3):
        world.put("h/a", 10 + number, f"v{number}")
    world.mark("h/a", "m")
    path = world.disk.root / "primary/h/a"
    assert not path.exists()
    with pytest.raises(NotFoundError):
        world.disk.open_version(PLACEMENT, "h/a")
    world.remove("h/a", "m")
    assert path.read_bytes() == world.state["h/a", "v2"].data
    world.remove("h/a", "v2")
    assert path.read_bytes() == world.state["h/a", "v1"].data
    world.remove("h/a", "v0")
    world.remove("h/a", "v1")
    assert not path.exists()
    check_whole(world.disk, {})


def test_an_intent_that_nobody_decided_is_taken_back_and_its_key_is_dirty(world: DiskWorld) -> None:
    world.put("h/a", 10)
    body = world.body(b"new")
    change = world.put_change("h/a", "null", b"", body)
    world.disk.prepare(change, body)
    assert read_state(world.disk) == world.state
    world.disk.close()
    world.disk.open(FLEET)
    assert read_state(world.disk) == world.state
    (dirty,) = world.disk.dirty(PLACEMENT)
    assert (dirty.key, dirty.seq) == ("h/a", change.info.seq)
    world.disk.clear_dirty(PLACEMENT, "h/a", change.info.seq - 1)
    assert len(world.disk.dirty(PLACEMENT)) == 1
    world.disk.clear_dirty(PLACEMENT, "h/a", change.info.seq)
    assert world.disk.dirty(PLACEMENT) == ()


def test_of_two_marks_the_later_change_counts(world: DiskWorld) -> None:
    changes = [world.put_change("h/b", "null", None, None) for _ in range(2)]
    for intent in reversed([world.disk.prepare(each) for each in changes]):
        world.disk.abort(intent, dirty=True)
    assert [each.seq for each in world.disk.dirty(PLACEMENT)] == [changes[1].info.seq]


def test_an_intent_is_decided_once(world: DiskWorld) -> None:
    body = world.body(b"new")
    intent = world.disk.prepare(world.put_change("h/a", "null", b"", body), body)
    world.disk.commit(intent)
    for again in (world.disk.commit, lambda number: world.disk.abort(number, dirty=False)):
        with pytest.raises(UsageError, match="no intent"):
            again(intent)


def test_version_numbers_are_never_given_twice(world: DiskWorld) -> None:
    numbers = [world.disk.take_seq(PLACEMENT, EPOCH) for _ in range(5)]
    world.disk.close()
    world.disk.open(FLEET)
    numbers += [world.disk.take_seq(PLACEMENT, EPOCH) for _ in range(5)]
    numbers.append(world.disk.take_seq(PLACEMENT, EPOCH + 1))
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == make_seq(EPOCH + 1, 1)


def test_placements_are_kept_and_old_ones_refused(world: DiskWorld) -> None:
    identity = world.disk.identity
    newer = placement(identity.disk_id, epoch=EPOCH + 1)
    world.disk.hold(newer, "secondary")
    with pytest.raises(MismatchError, match="epoch 4"):
        world.disk.hold(placement(identity.disk_id), "primary")
    with pytest.raises(MismatchError, match="another folder"):
        world.disk.hold(msgspec.structs.replace(newer, folder="elsewhere", epoch=9), "primary")
    world.disk.close()
    world.disk.open(FLEET)
    assert world.disk.placements() == {PLACEMENT: newer}
    assert world.disk.slot_of(PLACEMENT) == "primary"
    with pytest.raises(NotFoundError, match="p9"):
        world.disk.list("p9", "", "", "", 1)


def test_two_placements_with_one_folder_do_not_mix(world: DiskWorld) -> None:
    other = placement(world.disk.identity.disk_id, placement_id="p2")
    world.disk.hold(other, "primary")
    world.put("h/a", 10)
    body = world.body(b"the other's")
    change = world.put_change("h/a", "null", b"", body)
    assert world.disk.apply(msgspec.structs.replace(change, placement="p2"), body)
    assert read_state(world.disk) == world.state
    world.remove("h/a")
    with world.disk.open_version("p2", "h/a") as reader:
        assert bytes(reader.read_piece(0)) == b"the other's"


def test_a_disk_of_another_fleet_is_refused(tmp_path: Path) -> None:
    initialize(tmp_path, "f1")
    disk = Disk(tmp_path, "data_1")
    with pytest.raises(RefusedError, match="fleet f1"):
        disk.open("f2")
    with pytest.raises(UnavailableError, match="not open"):
        disk.placements()


def test_a_disk_that_lost_its_index_does_not_pass_for_one_that_had_nothing(world: DiskWorld) -> None:
    world.put("h/a", 5)
    world.disk.close()
    (world.disk.root / ".drystone/index.db").unlink()
    for _ in range(2):
        with pytest.raises(DamagedError, match="is gone"):
            world.disk.open(FLEET)
        assert world.disk.report().health == "missing"
        initialize(world.disk.root, FLEET)


def test_a_full_disk_takes_no_body(tmp_path: Path) -> None:
    disk = make_disk(tmp_path / "d")
    try:
        room = os.statvfs(tmp_path)
        with pytest.raises(ExhaustedError, match="is full"):
            disk.receive(size=room.f_bavail * room.f_frsize + (1 << 40))
    finally:
        disk.close()


def test_many_threads_at_once(world: DiskWorld) -> None:

    def put(number: int) -> None:
        body = world.disk.receive()
        body.write(b"%d" % number)
        change = world.put_change(f"h/{number % 7}/x", "null", b"", body)
        if number % 2:
            world.disk.commit(world.disk.prepare(change, body))
        else:
            world.disk.apply(change, body)
            world.disk.release(PLACEMENT, change.info.seq)
        with world.disk.open_version(PLACEMENT, f"h/{number % 7}/x") as reader:
            assert int(bytes(reader.read_piece(0))) % 7 == number % 7

    with ThreadPoolExecutor(12) as threads:
        list(threads.map(put, range(200)))
    state = read_state(world.disk)
    assert len(state) == 7
    check_whole(world.disk, state)
    assert world.disk.compare(PLACEMENT, "", 100).as_of == max(each.seq for each in state.values())


def test_a_disk_that_another_process_has_open_is_refused(world: DiskWorld) -> None:
    code = (
        "import sys; from pathlib import Path; from drystone.fleet.disk.disk import Disk\n"
        f"Disk(Path({str(world.disk.root)!r}), 'd').open({FLEET!r})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "BusyError" in found.stderr
    assert "in use by another process" in found.stderr
    world.disk.close()
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_change_is_taken_in_its_own_epoch_only(world: DiskWorld) -> None:
    body = world.body(b"one")
    change = world.put_change("h/a", "null", b"", body)
    with pytest.raises(MismatchError, match="is in epoch 3, not 2") as caught:
        world.disk.apply(change, body, epoch=EPOCH - 1)
    assert caught.value.facts["epoch"] == EPOCH
    assert world.disk.apply(change, world.body(b"one"), epoch=EPOCH)
    upload = UploadInfo("h/up", "u1", 1.0, PutOptions())
    with pytest.raises(MismatchError, match="not 9"):
        world.disk.begin_upload(PLACEMENT, upload, epoch=9)
    world.disk.begin_upload(PLACEMENT, upload, epoch=EPOCH)
    with pytest.raises(MismatchError, match="not 9"):
        world.put_part("u1", 1, b"abc", epoch=9)
    world.disk.hold(placement(world.disk.identity.disk_id, epoch=9), "primary")
    world.put_part("u1", 1, b"abc", epoch=9)
    assert list((world.disk.root / ".drystone/temp").iterdir()) == []


def test_a_change_below_the_floor_is_refused(world: DiskWorld) -> None:
    stuck, later = world.body(b"stuck"), world.body(b"later")
    given_up = world.put_change("h/a", "null", b"", stuck)
    change = world.put_change("h/b", "null", b"", later)
    assert world.disk.apply(change, later, floor=change.info.seq)
    with pytest.raises(MismatchError, match="given up") as caught:
        world.disk.apply(given_up, stuck, floor=1)
    assert caught.value.facts["floor"] == change.info.seq
    assert world.disk.find(PLACEMENT, "h/a") is None
    assert list((world.disk.root / ".drystone/temp").iterdir()) == []


def test_a_body_that_came_before_the_disk_was_opened_anew_is_refused(world: DiskWorld) -> None:
    body = world.body(b"one")
    change = world.put_change("h/a", "null", b"", body)
    world.disk.close()
    world.disk.open(FLEET)
    for write in (world.disk.prepare, world.disk.apply):
        with pytest.raises(UnavailableError, match="opened anew"):
            write(change, body)
    body.abandon()
    world.disk.begin_upload(PLACEMENT, UploadInfo("h/up", "u1", 1.0, PutOptions()))
    with pytest.raises(UnavailableError, match="opened anew"):
        world.disk.put_part(PLACEMENT, "u1", PartRecord(1, 3, "", 1.0), body)


def test_a_change_whose_body_vanished_is_not_taken_for_done(world: DiskWorld) -> None:
    body = world.body(b"one")
    intent = world.disk.prepare(world.put_change("h/a", "null", b"", body), body)
    (world.disk.root / body.place).unlink()
    with pytest.raises(UnavailableError, match="bad"):
        world.disk.commit(intent)


def test_the_newest_are_found_whatever_their_keys(world: DiskWorld) -> None:
    for key in ("h/c", "h/a", "h/b", "h/gone", "h/marked"):
        world.put(key)
    world.remove("h/gone")
    world.mark("h/marked", "2")
    world.put("h/c")
    assert [each.key for each in world.disk.newest(PLACEMENT, 2)] == ["h/c", "h/b"]
    assert world.disk.newest(PLACEMENT, 100) == tuple(
        sorted(world.disk.list(PLACEMENT, "", "", "", 100).objects, key=lambda each: -each.modified)
    )
    assert world.disk.newest(PLACEMENT, 0) == ()


def test_the_large_ones_are_found_and_no_more_than_were_asked_for(world: DiskWorld) -> None:
    for key, size in (("h/c", 30), ("h/a", 9), ("h/b", 10), ("h/d", 40)):
        world.put(key, size)
    assert [each.key for each in world.disk.large(PLACEMENT, 10, 10)] == ["h/b", "h/c", "h/d"]
    assert [each.size for each in world.disk.large(PLACEMENT, 10, 2)] == [10, 30]
    assert world.disk.large(PLACEMENT, 41, 10) == ()
