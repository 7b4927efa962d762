"""What each function does when nothing goes wrong, and what it refuses. Crashes are in tests/fault/dvm."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import pytest

from drystone.base.errors import (
    BusyError,
    DamagedError,
    DrystoneError,
    ExhaustedError,
    MismatchError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from drystone.dvm.replication import replicate
from drystone.dvm.replication.regions import AbsentRegion, Region
from drystone.testing.crash_states import Adversary, Choices, CrashDevice, Disk, open_world
from drystone.testing.region_scenarios import GROUP, LATER, NEW, OLD, OTHER_GROUP, update


def make(*sizes: int, keep: int = 3) -> list[CrashDevice]:
    devices = blank(*sizes)
    replicate.format_regions(devices, group=GROUP, keep=keep)
    return devices


def blank(*sizes: int) -> list[CrashDevice]:
    return open_world([Disk(size) for size in sizes or (40, 60)], Adversary(Choices()))


def contents(devices: Sequence[CrashDevice]) -> list[bytes]:
    for device in devices:
        device.disk.flush()
    return [device.disk.digest() for device in devices]


@pytest.mark.parametrize("length", [0, 1, 3999, 4000, 4001, 12_345, 60_001])
def test_data_of_any_length(length: int) -> None:
    devices = make()
    data = bytes(number * 7 % 251 for number in range(length))
    prepared = replicate.prepare(devices, data)
    assert (prepared.sequence, prepared.length, prepared.group) == (1, length, str(GROUP))
    assert replicate.commit(devices) == prepared
    found = replicate.read(devices)
    assert (found.data, found.transaction) == (data, prepared)


def test_all_regions_have_the_same_hash_whatever_their_size() -> None:
    devices = make(40, 900, 41)
    update(devices, OLD)
    hashes = {replicate.read([device]).transaction.hash for device in devices}
    assert len(hashes) == 1


def test_a_prepared_state_is_made_clear_and_reads_are_denied() -> None:
    devices = make()
    update(devices, OLD)
    replicate.prepare(devices, NEW)
    for deed in (lambda: replicate.read(devices), lambda: replicate.history(devices)):
        with pytest.raises(BusyError, match="prepared for 2"):
            deed()
    assert replicate.status(devices).agreement == "prepared"


def test_abort_leaves_the_old_data() -> None:
    devices = make()
    update(devices, OLD)
    before = replicate.read(devices)
    replicate.prepare(devices, NEW)
    assert replicate.abort(devices) == before.transaction
    assert replicate.read(devices) == before


def test_a_base_that_moved_on_is_refused() -> None:
    devices = make()
    base = replicate.read(devices).transaction.hash
    replicate.prepare(devices, OLD, parent=base)
    replicate.commit(devices)
    before = contents(devices)
    with pytest.raises(MismatchError, match="moved on"):
        replicate.prepare(devices, NEW, parent=base)
    assert contents(devices) == before


def test_the_last_versions_stay_readable() -> None:
    devices = make(keep=3)
    past = [OLD, NEW, LATER, b"", b"x" * 4001]
    for data in past:
        update(devices, data)
    listed = replicate.history(devices)
    assert [each.sequence for each in listed] == [5, 4, 3]
    assert [replicate.read(devices, each.sequence).data for each in listed] == [past[4], past[3], past[2]]
    assert [later.parent for later in listed[:-1]] == [earlier.hash for earlier in listed[1:]]
    with pytest.raises(NotFoundError, match="version 2 is not kept"):
        replicate.read(devices, 2)


def test_unchanged_pages_are_shared_between_versions() -> None:
    devices = make(400)
    data = b"".join(bytes([number]) * 4000 for number in range(200))
    update(devices, data)
    used = replicate.status(devices).regions[0].used_pages
    update(devices, data[:4000] + b"xy" * 2000 + data[8000:])
    more = replicate.status(devices).regions[0].used_pages - used
    assert more == 3  # the chunk, its table, the table above; the root takes the place of the one before


def test_a_full_region_is_told_before_anything_is_written() -> None:
    devices = make(200, 12)
    update(devices, OLD)
    before = contents(devices)
    with pytest.raises(ExhaustedError, match="disk 1 is full"):
        replicate.prepare(devices, bytes(range(256)) * 200)
    assert contents(devices) == before


def test_format_refuses_what_is_formatted_and_force_does_not() -> None:
    devices = make()
    update(devices, OLD)
    before = contents(devices)
    with pytest.raises(RefusedError, match="holds transaction 1"):
        replicate.format_regions(devices, group=OTHER_GROUP)
    assert contents(devices) == before
    replicate.format_regions(devices, group=OTHER_GROUP, force=True)
    assert replicate.read(devices).data == b""


@pytest.mark.parametrize("keep", [0, 1, 32])
def test_format_refuses_an_impossible_number_of_versions(keep: int) -> None:
    with pytest.raises(UsageError, match="cannot be kept"):
        replicate.format_regions(blank(), group=GROUP, keep=keep)


def test_format_refuses_a_region_that_is_too_small() -> None:
    with pytest.raises(UsageError, match="7 pages"):
        replicate.format_regions(blank(40, 7), group=GROUP)


def test_a_further_region_gets_all_versions() -> None:
    devices = make()
    for data in (OLD, NEW, LATER):
        update(devices, data)
    new = CrashDevice(7, Disk(64), Adversary(Choices()))
    replicate.add_regions(devices, [new])
    assert replicate.history([*devices, new]) == replicate.history([new])
    assert replicate.read([new], 2).data == NEW
    with pytest.raises(RefusedError):
        replicate.add_regions(devices, [new])


def test_a_further_region_that_is_too_small_is_not_touched() -> None:
    devices = make(400)
    update(devices, bytes(range(256)) * 100)
    new = CrashDevice(7, Disk(9), Adversary(Choices()))
    with pytest.raises(ExhaustedError):
        replicate.add_regions(devices, [new])
    assert not any(new.read(0, 1))


def test_data_come_from_a_region_that_has_them() -> None:
    devices = make()
    update(devices, OLD)
    for page in range(2, 40):
        devices[0].disk.sure.pop(page, None)
    assert replicate.read(devices).data == OLD
    told = replicate.status(devices)
    assert [each.state for each in told.regions] == ["damaged", "clean"]
    assert told.agreement == "out-of-step"
    with pytest.raises(DamagedError):
        replicate.prepare(devices, NEW)


def test_status_tells_every_kind_of_region() -> None:
    devices = make(40, 40, 40)
    update(devices, OLD)
    replicate.prepare(devices[:1], NEW)
    devices[2].disk.sure[0] = b"\0" * 20 + devices[2].disk.sure[0][20:2048] + b"DVM-SLOT" + bytes(2040)
    lost = CrashDevice(5, Disk(40), Adversary(Choices(), broken=frozenset({5})))
    new = CrashDevice(6, Disk(40), Adversary(Choices()))
    told = replicate.status([*devices, lost, new])
    assert [each.state for each in told.regions] == ["prepared", "clean", "damaged", "unreadable", "unformatted"]
    assert told.regions[3].errno == 5
    assert told.agreement == "out-of-step"
    assert told.group == str(GROUP)


def test_two_groups_are_told_apart() -> None:
    devices = [*make(40), *blank(40)]
    replicate.format_regions(devices[1:], group=OTHER_GROUP)
    with pytest.raises(MismatchError, match="of two groups"):
        replicate.read(devices)
    with pytest.raises(MismatchError):
        replicate.recover(devices)


def test_recover_does_nothing_twice() -> None:
    devices = make()
    update(devices, OLD)
    replicate.prepare(devices, NEW)
    replicate.commit(devices[:1])
    assert replicate.recover(devices).agreement == "clean"
    assert replicate.read(devices).data == NEW
    before = contents(devices)
    replicate.recover(devices)
    assert contents(devices) == before


def test_prepare_takes_back_what_it_did_when_a_region_fails() -> None:
    adversary = Adversary(Choices())
    devices = open_world([Disk(40), Disk(60)], adversary)
    replicate.format_regions(devices, group=GROUP)
    update(devices, OLD)
    broken = FailsAtPageZero(devices[1])
    with pytest.raises(DrystoneError) as raised:
        replicate.prepare([devices[0], broken], NEW)
    assert raised.value.facts["errno"] == 5
    assert "prepared" not in raised.value.facts
    assert replicate.read(devices).data == OLD


def test_commit_goes_on_past_a_region_that_fails() -> None:
    devices = make(40, 40, 40)
    replicate.prepare(devices, OLD)
    broken = FailsAtPageZero(devices[0])
    with pytest.raises(DrystoneError) as raised:
        replicate.commit([broken, *devices[1:]])
    assert raised.value.facts["failed"] == ["disk 0"]
    replicate.recover(devices)
    assert replicate.read(devices).data == OLD


def test_a_region_that_is_in_use_is_no_update_under_way() -> None:
    devices = make(40, 40)
    update(devices, OLD)
    region = Region("/dev/busy", 1, 41)
    used = AbsentRegion(region, BusyError("/dev/busy is in use", hint="it is mounted"))
    found = replicate.status([devices[0], used])
    assert (found.agreement, found.problem, found.hint) == ("out-of-step", "/dev/busy is in use", "it is mounted")


def test_no_region_at_all_is_refused() -> None:
    for deed in (lambda: replicate.read([]), lambda: replicate.format_regions([], group=UUID(int=1))):
        with pytest.raises(UsageError, match="there is no region"):
            deed()


class FailsAtPageZero:
    """A region of which page 0 cannot be written."""

    def __init__(self, inner: CrashDevice) -> None:
        self.inner = inner
        self.name = inner.name
        self.pages = inner.pages
        self.is_cached = inner.is_cached

    def read(self, page: int, count: int) -> bytes:
        return self.inner.read(page, count)

    def write(self, page: int, data: bytes) -> None:
        if page == 0:
            self.inner.adversary.broken = frozenset({self.inner.number})
        try:
            self.inner.write(page, data)
        finally:
            self.inner.adversary.broken = frozenset()

    def flush(self) -> None:
        self.inner.flush()
