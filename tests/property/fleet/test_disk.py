"""A disk against models of it: changes in any order, and every way to list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.fleet.disk.changes import Change
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.replica import make_seq
from drystone.testing.fleet.disk_world import (
    EPOCH,
    FLEET,
    PLACEMENT,
    DiskWorld,
    State,
    UnsyncedFiles,
    Version,
    check_whole,
    content,
    make_disk,
    quick_folder,
    read_state,
    remove_absent,
)

KEYS = st.sampled_from(["h/a", "h/a/b", "h/a/b/c", "h/a/", "h/../a", "h/ü", "h/z"])
VERSIONS = st.sampled_from(["null", "v1", "v2", "v3"])


@contextmanager
def new_world() -> Iterator[DiskWorld]:
    with quick_folder() as folder:
        root = folder / "data_1"
        disk = make_disk(root, UnsyncedFiles(root))
        try:
            yield DiskWorld(disk)
        finally:
            disk.close()


@given(
    st.lists(st.tuples(KEYS, VERSIONS, st.sampled_from(["put", "mark", "remove"])), max_size=12).flatmap(
        lambda changes: st.tuples(st.just(changes), st.permutations(range(len(changes))))
    )
)
@settings(max_examples=80, deadline=None)
def test_changes_in_any_order_lead_to_the_same(
    case: tuple[list[tuple[str, str, str]], list[int]],
) -> None:
    changes, order = case
    wanted: State = {}
    for seq, (key, version, kind) in enumerate(changes, start=1):
        wanted.pop((key, version), None)
        if kind != "remove":
            wanted[key, version] = Version(seq, seq, content(key, seq, 17) if kind == "put" else None)
    with new_world() as world:
        for number in order:
            key, version, kind = changes[number]
            seq = number + 1
            if kind == "put":
                body = world.body(content(key, seq, 17))
                sums = body.finish()
                info = ObjectInfo(key, sums.size, 1.0, sums.md5, sums.digest, seq, version)
                world.disk.apply(Change("put", PLACEMENT, info, seq), body)
            else:
                info = ObjectInfo(key, 0, 1.0, "", "", seq, version, delete_marker=kind == "mark")
                verb = "put" if kind == "mark" else "remove"
                world.disk.apply(Change(verb, PLACEMENT, info, seq, remember=True))  # type: ignore[arg-type]
        assert read_state(world.disk) == wanted
        check_whole(world.disk, wanted)


@given(
    st.lists(
        st.tuples(KEYS, VERSIONS, st.sampled_from(["put", "apply", "mark", "remove", "give up", "upload", "restart"])),
        max_size=15,
    )
)
@settings(max_examples=60, deadline=None)
def test_what_was_done_is_there(steps: list[tuple[str, str, str]]) -> None:
    with new_world() as world:
        for key, version, kind in steps:
            if kind in {"put", "apply"}:
                world.put(key, 25, version, leads=kind == "put")
            elif kind == "mark":
                world.mark(key, version)
            elif kind == "remove":
                world.remove(key, version)
            elif kind == "give up":
                world.give_up(key, dirty=True)
            elif kind == "upload":
                world.upload(key, (9, 8))
            else:
                world.disk.close()
                world.disk.open(FLEET)
        assert read_state(world.disk) == world.state
        check_whole(world.disk, world.state)
        assert {each.key for each in world.disk.dirty(PLACEMENT)} == world.dirty


NAMES = st.text(alphabet="ab/.é\U0001f600", min_size=1, max_size=5)


def list_simply(keys: set[str], prefix: str, delimiter: str, after: str) -> tuple[list[str], list[str]]:
    """All that is above `after`: keys, and common prefixes."""
    objects, prefixes = [], set()
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix):
            continue
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        common = key[: cut + len(delimiter)] if cut >= 0 else ""
        if common and not (common == after or (after.endswith(delimiter) and common.startswith(after))):
            if key.encode() > after.encode():
                prefixes.add(common)
        elif not common and key.encode() > after.encode():
            objects.append(key)
    return objects, sorted(prefixes, key=str.encode)


@given(
    keys=st.sets(NAMES.map(lambda name: f"h/{name}"), max_size=25),
    prefix=st.one_of(st.just(""), st.just("h/"), NAMES.map(lambda name: f"h/{name}")),
    delimiter=st.sampled_from(["", "/", ".", "b/"]),
    after=st.one_of(st.just(""), NAMES.map(lambda name: f"h/{name}")),
    limit=st.integers(1, 6),
)
@settings(max_examples=80, deadline=None)
def test_pages_hold_every_key_once_and_in_order(
    keys: set[str], prefix: str, delimiter: str, after: str, limit: int
) -> None:
    with new_world() as world:
        for key in keys:
            world.put(key, 3, leads=False)
        for versions in (False, True):
            objects: list[str] = []
            prefixes: list[str] = []
            at = after
            while True:
                page = world.disk.list(PLACEMENT, prefix, delimiter, at, limit, versions=versions)
                assert len(page.objects) + len(page.prefixes) <= limit
                objects += [each.key for each in page.objects]
                prefixes += page.prefixes
                at = page.after
                if not at:
                    break
            expected = list_simply(keys, prefix, delimiter, after)
            assert (objects, prefixes) == expected


@given(
    changes=st.lists(st.tuples(KEYS, VERSIONS, st.booleans()), max_size=20),
    limit=st.integers(1, 5),
    rights=st.sets(st.integers(0, 19)),
)
@settings(max_examples=50, deadline=None)
def test_pages_for_copying_hold_whole_keys_and_removal_of_the_absent_is_exact(
    changes: list[tuple[str, str, bool]], limit: int, rights: set[int]
) -> None:
    with new_world() as leader, new_world() as member:
        for number, (key, version, is_marker) in enumerate(changes):
            for world in (leader, member) if number in rights else (leader,) if number % 2 else (member,):
                if is_marker:
                    world.mark(key, version)
                else:
                    world.put(key, 5, version)
        at, seen = "", []
        while True:
            page = leader.disk.compare(PLACEMENT, at, limit)
            assert all(each.seq <= page.as_of for each in page.entries)
            seen += [(each.key, each.version_id) for each in page.entries]
            page_of_all = msgspec.structs.replace(page, as_of=make_seq(EPOCH, 1000))
            remove_absent(member.disk, at, page_of_all, limit=limit)
            if page.after:
                assert page.entries[-1].key == page.after
            at = page.after
            if not at:
                break
        assert sorted(seen) == sorted(leader.state)
        assert len(seen) == len(set(seen))
        left = {place: each for place, each in member.state.items() if place in leader.state}
        assert read_state(member.disk) == left
        check_whole(member.disk, left)
        assert page.as_of >> 40 == EPOCH
