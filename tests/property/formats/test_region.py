"""Regions: what is written is read, whatever its length; hostile bytes give an error or a value, nothing else."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from functools import partial
from uuid import UUID

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from drystone.base.errors import DamagedError, DrystoneError, UsageError
from drystone.dvm.replication import replicate
from drystone.formats.region.drafts import Draft, first_root, list_runs
from drystone.formats.region.layout import LONGEST_DATA, PAGE
from drystone.formats.region.pages import Pages
from drystone.formats.region.slots import Slot, build_slot, parse_page_zero, parse_slot
from drystone.formats.region.transactions import digest, first_change, next_change
from drystone.formats.region.trees import Reached, list_chunks, read_data, read_root, walk_tables
from drystone.testing.crash_states import Adversary, Choices, CrashDevice, Disk
from drystone.testing.region_scenarios import GROUP, make_world, three_versions

LENGTHS = st.sampled_from([0, 1, 3999, 4000, 4001, 8000, 12345, 399_999, 400_000, 400_001, 404_001])


class Memory:
    """Pages in a dict; what is not there is zeros."""

    name = "memory"

    def __init__(self, pages: int, content: dict[int, bytes]) -> None:
        self.pages = pages
        self.content = content
        self.reads = 0

    def read(self, page: int, count: int) -> bytes:
        assert 0 <= page < page + count <= self.pages
        self.reads += 1
        return b"".join(self.content.get(at, bytes(PAGE)) for at in range(page, page + count))


@given(length=LENGTHS, seed=st.binary(min_size=1, max_size=40))
@settings(max_examples=40)
def test_data_of_every_length_come_back(length: int, seed: bytes) -> None:
    data = (seed * (length // len(seed) + 1))[:length]
    change = next_change(first_change(GROUP), data)
    draft = Draft("memory", 400, Reached())
    root = draft.add_root([draft.add_version(change, data)])
    pages = Pages(Memory(400, draft.pages), GROUP)
    versions = read_root(pages, root)
    assert versions[0].change == change
    assert read_data(pages, versions[0]) == data


@given(chunks=st.lists(st.sampled_from([b"a", b"b", b"c", b"d"]), max_size=12))
def test_equal_chunks_share_a_page(chunks: list[bytes]) -> None:
    data = b"".join(each * 4000 for each in chunks)
    draft = Draft("memory", 40, Reached())
    version = draft.add_version(next_change(first_change(GROUP), data), data)
    pages = Pages(Memory(40, draft.pages), GROUP)
    assert len({entry.page for entry in list_chunks(pages, version)}) == len(set(chunks))


@given(pages=st.dictionaries(st.integers(0, 60), st.binary(min_size=2, max_size=2), max_size=30))
def test_runs_hold_every_page_once(pages: dict[int, bytes]) -> None:
    found = {first + at: run[2 * at : 2 * at + 2] for first, run in list_runs(pages) for at in range(len(run) // 2)}
    assert found == pages


def sealed(data: bytes) -> bytes:
    """A slot with these bytes and a right checksum."""
    body = (b"DVM-SLOT" + data)[:508].ljust(508, b"\0")
    return body + struct.pack("<I", google_crc32c.value(body))


@given(data=st.binary(min_size=512, max_size=512), is_sealed=st.booleans())
def test_any_slot_is_read_or_is_none(data: bytes, is_sealed: bool) -> None:
    found = parse_slot(sealed(data) if is_sealed else data)
    if found is not None:
        assert parse_slot(build_slot(found)) == found


@given(first=st.binary(max_size=500), second=st.binary(max_size=500), seals=st.tuples(st.booleans(), st.booleans()))
def test_any_page_zero_is_read_or_told(first: bytes, second: bytes, seals: tuple[bool, bool]) -> None:
    halves = [sealed(each) if seal else each for each, seal in zip((first, second), seals, strict=True)]
    found = parse_page_zero(b"".join(each.ljust(2048, b"\0") for each in halves))
    assert found is None or found.problem or found.current is not None


WORLD = make_world((20,), three_versions)
DEEDS: tuple[Callable[[list[CrashDevice]], object], ...] = (
    replicate.status,
    replicate.read,
    replicate.history,
    partial(replicate.prepare, data=b"x" * 5000),
    replicate.commit,
    replicate.abort,
    replicate.recover,
)


@given(
    changes=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 4095), st.integers(1, 255)), min_size=1, max_size=12),
    resealed=st.booleans(),
)
@settings(max_examples=300)
def test_every_tool_refuses_or_answers_on_a_changed_region(changes: list[tuple[int, int, int]], resealed: bool) -> None:
    """Bytes anywhere are changed; with `resealed` the slots' checksums are made right again."""
    disk: Disk = WORLD[0].copy()
    for page, offset, value in changes:
        content = bytearray(disk.sure.get(page, bytes(PAGE)))
        content[offset] ^= value
        disk.sure[page] = bytes(content)
    if resealed:
        content = bytearray(disk.sure[0])
        for at in (0, 2048):
            content[at : at + 512] = sealed(bytes(content[at + 8 : at + 508]))
        disk.sure[0] = bytes(content)
    for deed in DEEDS:
        device = CrashDevice(0, disk.copy(), Adversary(Choices()))
        with contextlib.suppress(DrystoneError):
            deed([device])


def test_a_small_region_cannot_claim_more_data_than_is_allowed() -> None:
    """One data page, referred to again and again: what is read is bounded by the length that a version may have."""
    chunk = b"z" * 4000
    data = chunk * (LONGEST_DATA // 4000)
    change = next_change(first_change(GROUP), data)
    draft = Draft("memory", 400, Reached())
    version = draft.add_version(change, data)
    memory = Memory(400, draft.pages)
    pages = Pages(memory, GROUP)
    assert read_data(pages, version) == data
    assert memory.reads < 400


def test_more_than_allowed_is_refused() -> None:
    device = CrashDevice(0, WORLD[0].copy(), Adversary(Choices()))
    with pytest.raises(UsageError, match="are more than"):
        replicate.prepare([device], bytes(LONGEST_DATA + 1))


def test_a_version_with_too_many_bytes_is_refused() -> None:
    change = first_change(GROUP)
    root, page = first_root(change)
    bad = bytearray(page)
    bad[96 + 8 : 96 + 16] = (LONGEST_DATA + 1).to_bytes(8, "little")
    pages = Pages(Memory(16, {1: bytes(bad)}), GROUP)
    with pytest.raises(DamagedError):
        read_root(pages, replace(root, digest=digest(bytes(bad))))


def test_tables_are_walked_parents_first() -> None:
    data = bytes(401 * 4000)
    draft = Draft("memory", 40, Reached())
    version = draft.add_version(next_change(first_change(UUID(int=9)), data), data)
    levels = [level for _, _, level, _ in walk_tables(Pages(Memory(40, draft.pages), UUID(int=9)), version)]
    assert levels == [2, 1, 1, 1, 1, 1]


def test_a_slot_survives_its_bytes() -> None:
    root, _ = first_root(first_change(GROUP))
    slot = Slot(GROUP, UUID(int=5), 1, 16, 2, root)
    assert parse_slot(build_slot(slot)) == slot
