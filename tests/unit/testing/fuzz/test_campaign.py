"""The fuzzer finds what it looks for, and repeats itself."""

from __future__ import annotations

from random import Random

import pytest

from drystone.base.errors import DamagedError
from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import identify_block
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.damage.examples import make_thin_example
from drystone.testing.damage.references import list_miscounted
from drystone.testing.damage.table import READERS
from drystone.testing.fuzz import campaign
from drystone.testing.fuzz.campaign import make_random, run_campaign, run_subject
from drystone.testing.fuzz.mutate import damage_image, mutate_block, mutate_file
from drystone.testing.fuzz.subjects import SUBJECTS, Subject
from drystone.testing.thin_metadata import write_thin_metadata


def make_bytes(random: Random) -> bytes:
    return mutate_file(b"<superblock/>", random)


def refuse(_: bytes) -> None:
    raise DamagedError("block 1: it is so")


def ramble(_: bytes) -> None:
    raise DamagedError("block 1:\nand so on")


def quote(_: bytes) -> None:
    raise DamagedError("block 1: " + "x" * 10_000)


def crash(data: bytes) -> None:
    raise IndexError(len(data))


def hang(_: bytes) -> None:
    while True:
        pass


def swallow(_: bytes) -> None:
    bytearray(4 << 30)


def feed(function: object, cases: int = 3) -> tuple[int, int, list[str]]:
    assert callable(function)
    tally = run_subject(Subject("sample", make_bytes, function, 1), cases)
    return tally.read, tally.refused, [failure.reason for failure in tally.failures]


def test_reading_and_refusing_are_both_right() -> None:
    assert feed(len) == (3, 0, [])
    assert feed(refuse) == (0, 3, [])


def test_what_is_neither_is_a_failure_with_its_reason() -> None:
    assert [reason.split(":")[0] for reason in feed(crash)[2]] == ["IndexError"] * 3
    assert ["several lines" in reason for reason in feed(ramble)[2]] == [True] * 3
    assert [reason[:36] for reason in feed(quote)[2]] == ["a message of 10009 characters: 'bloc"] * 3


def test_memory_beyond_the_bound_is_a_failure() -> None:
    assert [reason.split(":")[0] for reason in feed(swallow)[2]] == ["MemoryError"] * 3


def test_a_hang_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "SECONDS", 0.05)
    assert feed(hang, 1)[2] == ["took longer than 0.05 seconds"]


def test_a_case_is_the_same_each_time() -> None:
    for subject in SUBJECTS:
        first, again, other = (subject.make(make_random(subject, 0, case)) for case in (1, 1, 2))
        assert first == again != other


def test_a_campaign_shares_its_cases_out() -> None:
    tallies = run_campaign(40, names=["thin superblock", "era superblock"])
    assert [(tally.subject, tally.cases) for tally in tallies] == [("thin superblock", 20), ("era superblock", 20)]


def test_damage_that_chance_hardly_meets_is_made() -> None:
    """Counts that are wrong by one while all sums follow, for one."""
    random = Random(1)
    data = make_thin_example()
    anatomy = READERS["thin"](MemoryBlocks(data))
    images = [damage_image("thin", data, anatomy, random) for _ in range(300)]
    assert sum(image != data for image in images) > 290
    assert any(miscounts_only(image) for image in images)


def miscounts_only(image: bytes) -> bool:
    """Whether a space map counts a block wrongly, and that is all there is."""
    try:
        anatomy = READERS["thin"](MemoryBlocks(image))
    except DamagedError:
        return False
    return len(list_miscounted(anatomy, "data")) == 1 and len(image) == len(make_thin_example())


def test_a_case_that_takes_all_memory_does_not_stop_the_next() -> None:
    def grow(_: bytes) -> None:
        kept: list[bytearray] = []
        while True:
            kept.append(bytearray(1 << 16))

    assert [reason.split(":")[0] for reason in feed(grow, 2)[2]] == ["MemoryError"] * 2
    assert feed(len) == (3, 0, [])


def test_most_mutated_blocks_have_a_checksum_that_fits() -> None:
    block = write_thin_metadata({1: {0: 0}})[:BLOCK]
    random = Random(1)
    kinds = [identify_block(mutate_block(block, random)) for _ in range(200)]
    assert kinds.count("thin superblock") > 120
    assert kinds.count(None) > 5
