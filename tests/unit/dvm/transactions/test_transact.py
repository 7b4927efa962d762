"""Versions of metadata on regions in memory: what is refused, what a crash leaves, and who wins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest

from drystone.base.errors import (
    DrystoneError,
    ExhaustedError,
    KernelError,
    MismatchError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from drystone.dvm.discovery.devices import Devices, GroupDevice, GroupReference, Span, parse_devices, require_group
from drystone.dvm.replication import replicate
from drystone.dvm.replication.regions import RegionDevice
from drystone.dvm.transactions.documents import Outcome
from drystone.dvm.transactions.survey import Line, Survey, explain, find_head, list_seats, survey
from drystone.dvm.transactions.transact import (
    choose_version,
    diff,
    expand,
    log,
    read,
    recover,
    reduce,
    revert,
    update,
)
from drystone.dvm.transactions.version import parse_metadata

GROUP = GroupReference("vg", "00000000-0000-4000-8000-0000000000a1")
NOW = datetime(2026, 1, 2, 15, 4, 5, tzinfo=UTC)
PAGES = 64


class MemoryRegion:
    """A region in memory, which can be made to fail: at the n-th write or flush, or at everything."""

    is_cached = False

    def __init__(self, name: str) -> None:
        self.name = name
        self.pages = PAGES
        self.data = bytearray(PAGES * 4096)
        self.fails_after: int | None = None
        self.is_gone = False

    def read(self, page: int, count: int) -> bytes:
        if self.is_gone:
            raise KernelError("read", 5, device=self.name)
        return bytes(self.data[page * 4096 : (page + count) * 4096])

    def write(self, page: int, data: bytes) -> None:
        self._step("write")
        self.data[page * 4096 : page * 4096 + len(data)] = data

    def flush(self) -> None:
        self._step("flush")

    def _step(self, operation: str) -> None:
        if self.fails_after is not None:
            self.fails_after -= 1
        if self.is_gone or (self.fails_after is not None and self.fails_after < 0):
            raise KernelError(operation, 5, device=self.name)


class World:
    """Devices by number, and the document about those that are there."""

    def __init__(self, count: int) -> None:
        self.regions: dict[int, MemoryRegion] = {number: MemoryRegion(f"/dev/{number}") for number in range(count)}
        self.there = list(range(count))

    def document(self) -> Devices:
        devices = [GroupDevice(uuid(number), f"/dev/{number}", 1 << 20, (), (Span(1, 65),)) for number in self.there]
        return Devices(group=GROUP, devices=tuple(devices))

    def look(self) -> Survey:
        document = self.document()
        opened: Sequence[RegionDevice] = [self.regions[number] for number in self.there]
        return survey(document, list_seats(document), opened)

    def put(self, value: object) -> Outcome:
        return update(self.look(), giving(value), ("update", "x"), NOW)

    def value(self) -> Any:
        return json.loads(bytes(read(self.look())[1].metadata))

    def codes(self) -> list[str]:
        return [finding.code for finding in explain(self.look()).findings]


def uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def giving(value: object) -> Callable[[bytes], bytes]:
    return lambda _: json.dumps(value).encode()


@pytest.fixture
def world() -> World:
    """Three devices, metadata {"n": 1} at @2."""
    made = World(3)
    expand(made.look(), ("expand",), NOW)
    made.put({"n": 1})
    return made


def copies(world: World, numbers: Iterable[int]) -> dict[int, bytes]:
    return {number: bytes(world.regions[number].data) for number in numbers}


def test_a_new_group_begins_with_nothing_or_with_what_is_given() -> None:
    world = World(2)
    assert world.codes() == ["empty", "new", "new"]
    with pytest.raises(NotFoundError, match="holds metadata"):
        read(world.look())
    outcome = expand(world.look(), ("expand",), NOW)
    assert (outcome.transaction.sequence, outcome.changed) == (1, True)
    assert world.value() is None
    other = World(1)
    expand(other.look(), ("expand",), NOW, first=parse_metadata(b'{"a": 1}', "x"))
    assert other.value() == {"a": 1}
    with pytest.raises(RefusedError, match="has metadata already"):
        expand(other.look(), ("expand",), NOW, first=parse_metadata(b"2", "x"))


def test_updates_are_read_back_with_their_changes(world: World) -> None:
    outcome = world.put({"n": 2, "m": []})
    assert outcome.transaction.sequence == 3
    assert [(each.kind, each.path) for each in outcome.changes] == [("changed", "n"), ("added", "m")]
    assert world.value() == {"n": 2, "m": []}
    assert explain(world.look()).complete


def test_what_comes_back_the_same_makes_no_version(world: World) -> None:
    before = copies(world, world.there)
    outcome = world.put({"n": 1})
    assert (outcome.changed, outcome.transaction.sequence) == (False, 2)
    assert copies(world, world.there) == before


def test_a_dry_run_changes_nothing(world: World) -> None:
    before = copies(world, world.there)
    outcome = update(world.look(), giving({"n": 9}), ("update",), NOW, dry_run=True)
    assert (outcome.dry_run, outcome.changed, outcome.transaction.sequence) == (True, True, 2)
    assert outcome.changes[0].new == 9
    assert copies(world, world.there) == before


def test_a_mutator_that_fails_or_prints_no_json_changes_nothing(world: World) -> None:
    before = copies(world, world.there)

    def fail(_: bytes) -> bytes:
        raise DrystoneError("no")

    for mutate, words in ((fail, "no"), (lambda _: b"", "empty"), (lambda _: b"{", "output")):
        with pytest.raises(DrystoneError, match=words):
            update(world.look(), mutate, ("update",), NOW)
    assert copies(world, world.there) == before


def test_a_base_that_moved_on_is_refused(world: World) -> None:
    head = world.look().head
    assert head is not None
    update(world.look(), giving({"n": 2}), ("update",), NOW, base=head.hash[:12])
    for base in (head.hash, head.hash[:12], "0", "zz"):
        with pytest.raises(MismatchError, match="moved on"):
            update(world.look(), giving({"n": 3}), ("update",), NOW, base=base)
        with pytest.raises(MismatchError, match="moved on"):
            recover(world.look(), ("recover",), NOW, base=base)
        with pytest.raises(MismatchError, match="moved on"):
            revert(world.look(), "@1", ("revert",), NOW, base=base)
    assert world.value() == {"n": 2}


def test_of_two_updates_from_one_base_one_wins(world: World) -> None:
    first, second = world.look(), world.look()
    update(first, giving({"n": 2}), ("update",), NOW)
    with pytest.raises(MismatchError, match="moved on"):
        update(second, giving({"n": 3}), ("update",), NOW)
    assert world.value() == {"n": 2}


def test_the_log_and_older_versions(world: World) -> None:
    world.put({"n": 2})
    versions = log(world.look()).versions
    assert [(each.sequence, each.command) for each in versions] == [
        (3, ("update", "x")),
        (2, ("update", "x")),
        (1, ("expand",)),
        (0, ()),
    ]
    assert versions[0].at == "2026-01-02T15:04:05+00:00"
    assert versions[0].devices == 3
    assert json.loads(bytes(read(world.look(), "@2")[1].metadata)) == {"n": 1}
    difference = diff(world.look(), "", "")
    assert (difference.old.sequence, difference.new.sequence) == (2, 3)
    assert [(each.path, each.old, each.new) for each in difference.changes] == [("n", 1, 2)]
    assert diff(world.look(), "@3", "@1").changes[0].new is None


def test_a_revert_is_a_new_version(world: World) -> None:
    world.put({"n": 2})
    planned = revert(world.look(), "@2", ("revert", "@2"), NOW, dry_run=True)
    assert [(each.old, each.new) for each in planned.changes] == [(2, 1)]
    assert world.value() == {"n": 2}
    outcome = revert(world.look(), "@2", ("revert", "@2"), NOW)
    assert outcome.transaction.sequence == 4
    assert world.value() == {"n": 1}


def test_only_the_last_versions_stay() -> None:
    world = World(1)
    expand(world.look(), ("expand",), NOW, keep=3)
    for n in range(6):
        world.put({"n": n})
    assert [each.sequence for each in log(world.look()).versions] == [7, 6, 5]
    with pytest.raises(NotFoundError, match="no version @4") as caught:
        read(world.look(), "@4")
    assert caught.value.hint.startswith("there are @5 to @7")


@pytest.mark.parametrize("reference", ["", "7", "@", "@x", "@-", "abc", "zzzzzzzz", "@٣"])
def test_what_is_no_version(world: World, reference: str) -> None:
    with pytest.raises(UsageError, match="is no version"):
        choose_version(reference, replicate.history([world.regions[0]]))


def test_versions_by_hash_and_from_the_end(world: World) -> None:
    history = replicate.history([world.regions[0]])
    assert choose_version(history[1].hash[:8], history) == history[1]
    assert choose_version("@-1", history) == history[1]
    assert choose_version("@0", history).sequence == 0
    with pytest.raises(NotFoundError):
        choose_version("@-9", history)


def test_a_missing_device_stops_reading_until_recovered(world: World) -> None:
    world.there.remove(1)
    assert world.codes() == ["missing"]
    with pytest.raises(MismatchError, match="is missing; it was at /dev/1"):
        read(world.look())
    assert json.loads(bytes(read(world.look(), partial=True)[1].metadata)) == {"n": 1}
    with pytest.raises(MismatchError, match="not complete"):
        world.put({"n": 5})
    outcome = recover(world.look(), ("recover",), NOW)
    assert [each.uuid for each in outcome.devices] == [uuid(0), uuid(2)]
    assert world.value() == {"n": 1}
    world.put({"n": 2})
    world.there.append(1)
    assert world.codes() == ["outside"]
    assert world.value() == {"n": 2}
    expand(world.look(), ("expand",), NOW)
    assert world.codes() == []
    assert log(world.look()).versions[0].command == ("expand",)


def test_recover_may_make_the_metadata_fit(world: World) -> None:
    world.there.remove(1)
    outcome = recover(world.look(), ("recover",), NOW, mutate=giving({"n": "less"}))
    assert outcome.changed
    assert world.value() == {"n": "less"}


def test_a_recovery_of_what_is_whole_does_nothing(world: World) -> None:
    before = world.look().head
    assert not recover(world.look(), ("recover",), NOW).changed
    assert world.look().head == before


def test_a_device_that_fails_is_told_and_left_behind(world: World) -> None:
    world.regions[1].is_gone = True
    assert world.codes() == ["unreadable"]
    with pytest.raises(MismatchError, match="EIO"):
        world.value()
    recover(world.look(), ("recover",), NOW)
    assert world.value() == {"n": 1}
    world.regions[1].is_gone = False
    assert world.codes() == ["outside"]


def test_devices_that_cannot_be_read_are_told_before_there_is_said_to_be_nothing(world: World) -> None:
    for region in world.regions.values():
        region.is_gone = True
    with pytest.raises(MismatchError, match="EIO"):
        world.value()


def test_damage_is_told_and_recovered_without_the_device(world: World) -> None:
    world.regions[2].data[: 4096 * PAGES] = b"DVM-SLOT" + b"x" * (4096 * PAGES - 8)
    assert world.codes() == ["damaged"]
    recover(world.look(), ("recover",), NOW)
    assert world.value() == {"n": 1}
    with pytest.raises(RefusedError, match="holds something already"):
        expand(world.look(), ("expand",), NOW)
    expand(world.look(), ("expand",), NOW, overwrite=True)
    assert world.codes() == []


def test_one_torn_slot_is_mended_and_the_device_stays(world: World) -> None:
    world.put({"n": 2})
    data = world.regions[1].data
    for at in (0, 2048):
        data[at + 100] ^= 1
        assert "damaged" in world.codes()
        outcome = recover(world.look(), ("recover",), NOW)
        assert len(outcome.devices) == 3
        assert world.codes() == []
    assert world.value() == {"n": 2}


def test_a_fork_is_refused_until_somebody_chooses(world: World) -> None:
    world.there = [0, 1]
    recover(world.look(), ("recover",), NOW)
    world.put({"n": "left"})
    world.there = [2]
    recover(world.look(), ("recover",), NOW)
    world.put({"n": "right"})
    world.there = [0, 1, 2]
    assert world.codes()[0] == "fork"
    for act in (world.value, lambda: recover(world.look(), ("recover",), NOW)):
        with pytest.raises(MismatchError, match="do not follow each other"):
            act()
    world.there = [0, 1]
    assert world.value() == {"n": "left"}


def test_expand_takes_new_devices_in(world: World) -> None:
    world.regions[3] = MemoryRegion("/dev/3")
    world.there.append(3)
    assert world.codes() == ["new"]
    assert world.value() == {"n": 1}
    planned = expand(world.look(), ("expand",), NOW, dry_run=True)
    assert planned.changed
    assert world.codes() == ["new"]
    expand(world.look(), ("expand",), NOW)
    assert world.codes() == []
    world.there = [3]
    assert json.loads(bytes(read(world.look(), partial=True)[1].metadata)) == {"n": 1}
    world.there = [0, 1, 2, 3]
    assert not expand(world.look(), ("expand",), NOW).changed


def test_an_expansion_over_something_else_wants_a_word(world: World) -> None:
    other = MemoryRegion("/dev/3")
    replicate.format_regions([other], group=UUID(int=7))
    world.regions[3] = other
    world.there.append(3)
    assert world.codes() == ["outside"]
    with pytest.raises(RefusedError, match="another group"):
        expand(world.look(), ("expand",), NOW)
    expand(world.look(), ("expand",), NOW, overwrite=True)
    assert world.codes() == []


def test_reduce_takes_devices_out_and_erases_them(world: World) -> None:
    world.put({"on": uuid(2)})
    with pytest.raises(RefusedError, match="still names device"):
        reduce(world.look(), ["/dev/2"], ("reduce",), NOW)
    with pytest.raises(NotFoundError, match="has no device"):
        reduce(world.look(), ["/dev/7"], ("reduce",), NOW)
    with pytest.raises(RefusedError, match="would be left"):
        reduce(world.look(), ["/dev/0", "/dev/1", "/dev/2"], ("reduce",), NOW)
    reduce(world.look(), [uuid(1)], ("reduce",), NOW, dry_run=True)
    assert world.codes() == []
    reduce(world.look(), [uuid(1)], ("reduce",), NOW)
    assert world.codes() == ["new"]
    reduce(world.look(), ["/dev/2"], ("reduce",), NOW, force=True)
    world.there = [0]
    assert world.value() == {"on": uuid(2)}
    assert world.codes() == []


@pytest.mark.parametrize("device", [0, 2])
@pytest.mark.parametrize("step", range(14))
def test_an_update_that_fails_at_any_write_is_whole_after_recovery(world: World, device: int, step: int) -> None:
    world.regions[device].fails_after = step
    try:
        world.put({"n": 2})
    except DrystoneError:
        won = None
    else:
        won = {"n": 2}
    world.regions[device].fails_after = None
    recover(world.look(), ("recover",), NOW)
    assert world.codes() == []
    assert world.value() in ([won] if won else [{"n": 1}, {"n": 2}])


def line(hash_: str, sequence: int, *ancestors: str, oldest: int = 0, whole: bool = False) -> Line:
    return Line(hash_, sequence, frozenset({hash_, *ancestors}), oldest, is_complete=whole)


def test_what_does_not_fit_changes_nothing(world: World) -> None:
    before = world.look().head
    with pytest.raises(ExhaustedError):
        world.put({"n": "".join(str(number) for number in range(80_000))})
    assert world.look().head == before
    assert world.codes() == []
    assert world.value() == {"n": 1}


def test_heads() -> None:
    assert find_head([]) == (None, "")
    one, two = line("a", 1), line("b", 2, "a")
    assert find_head([one]) == (one, "")
    assert find_head([one, two]) == (two, "")
    for others in ([line("c", 2)], [line("c", 2, whole=True), line("d", 2, whole=True)]):
        head, problem = find_head([one, *others])
        assert head is None
        assert "do not follow" in problem


def test_what_is_too_old_to_be_remembered_does_not_stand_in_the_way() -> None:
    late = line("z", 20, "y", oldest=16, whole=True)
    assert find_head([late, line("a", 3)]) == (late, "")
    assert find_head([late, line("a", 16)])[0] is None
    assert find_head([line("z", 20, "y", oldest=16), line("a", 3)])[0] is None


def test_a_device_that_was_away_for_long_is_outside(world: World) -> None:
    world.there = [0, 1]
    recover(world.look(), ("recover",), NOW)
    for n in range(20):
        world.put({"n": n})
    world.there = [0, 1, 2]
    assert world.codes() == ["outside"]
    assert world.value() == {"n": 19}
    with pytest.raises(RefusedError, match="holds something already"):
        expand(world.look(), ("expand",), NOW)
    expand(world.look(), ("expand",), NOW, overwrite=True)
    assert world.codes() == []


def test_the_devices_document_is_not_trusted() -> None:
    sound = World(2).document()
    assert parse_devices(msgspec.json.encode(sound)) == sound
    require_group(sound, "vg")
    require_group(sound, GROUP.uuid)
    with pytest.raises(MismatchError, match="of the group 'vg', not of 'other'"):
        require_group(sound, "other")
    first = sound.devices[0]
    for devices, words in (
        ((first, first), "two devices have the uuid"),
        ((first, msgspec.structs.replace(first, uuid="x")), "two devices have the path"),
        ((msgspec.structs.replace(first, path=""),), "has no path"),
        ((msgspec.structs.replace(first, regions=(Span(5, 5),)),), "overlap, or are out of order"),
        ((msgspec.structs.replace(first, regions=(Span(1, 5), Span(4, 6))),), "overlap, or are out of order"),
    ):
        with pytest.raises(UsageError, match=words):
            parse_devices(msgspec.json.encode(msgspec.structs.replace(sound, devices=devices)))
    for text in (b"{}", b"[]", b'{"schema": "other"}', b""):
        with pytest.raises(UsageError):
            parse_devices(text)
    with pytest.raises(NotFoundError, match="has a region"):
        list_seats(Devices(group=GROUP))
