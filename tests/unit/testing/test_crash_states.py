"""The adversary tries all there is: on a disk, each subset of what is not flushed."""

from __future__ import annotations

import itertools

import pytest

from drystone.base.errors import KernelError
from drystone.testing.crash_states import (
    Adversary,
    Choices,
    Crash,
    CrashDevice,
    Disk,
    TooManyError,
    VeiledError,
    count_states,
    digest_world,
    power_off,
    try_all,
)


def page(*sectors: int) -> bytes:
    """A page whose sectors are filled with these numbers, then zeros."""
    return b"".join(bytes([each]) * 512 for each in sectors).ljust(4096, b"\0")


def endings(disk: Disk, *pages: int, torn_within: bool = False) -> set[bytes]:
    """All that can be read of these pages after the power went off."""
    (after,) = power_off([disk], torn_within=torn_within)
    found: set[bytes] = set()

    def look(choices: Choices) -> None:
        copy = after.copy()
        found.add(b"".join(copy.read(each, choices) for each in pages))

    try_all(look)
    return found


def test_choices_are_all_sequences() -> None:
    seen = []
    runs = try_all(lambda choices: seen.append((choices.pick(2), choices.pick(1), choices.pick(3))))
    assert runs == 6
    assert seen == list(itertools.product(range(2), range(1), range(3)))


def test_choices_may_depend_on_choices() -> None:
    seen = []

    def run(choices: Choices) -> None:
        first = choices.pick(2)
        seen.append((first, *[choices.pick(2) for _ in range(first * 2)]))

    try_all(run)
    assert seen == [(0,), (1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1)]


def test_too_many_runs_are_told() -> None:
    def run(choices: Choices) -> None:
        for _ in range(10):
            choices.pick(2)

    with pytest.raises(TooManyError):
        try_all(run, most=100)


def test_every_subset_of_the_sectors() -> None:
    disk = Disk(4, {1: page(9, 9, 9)})
    disk.pending[1] = [page(1, 2, 9)]
    disk.pending[2] = [page(3)]
    expected = {page(a, b, 9) + page(c) for a in (9, 1) for b in (9, 2) for c in (0, 3)}
    assert endings(disk, 1, 2) == expected
    assert count_states(power_off([disk])) == 8


def test_any_of_several_writes_to_one_sector() -> None:
    disk = Disk(4, pending={1: [page(1), page(2)]})
    assert endings(disk, 1) == {page(), page(1), page(2)}


def test_a_flush_makes_it_sure() -> None:
    disk = Disk(4, pending={1: [page(1), page(2)]})
    disk.flush()
    assert endings(disk, 1) == {page(2)}


def test_a_second_crash_adds_to_the_first() -> None:
    disk = Disk(4, pending={1: [page(1)]})
    (after,) = power_off([disk])
    after.pending[1] = [page(2)]
    assert endings(after, 1) == {page(), page(1), page(2)}


def test_what_was_read_once_stays() -> None:
    (after,) = power_off([Disk(4, pending={1: [page(1)]})])

    def look(choices: Choices) -> None:
        copy = after.copy()
        assert copy.read(1, choices) == copy.read(1, choices)

    assert try_all(look) == 2


def test_torn_within_a_sector() -> None:
    disk = Disk(4, {1: page(9)}, pending={1: [page(1)]})
    torn = b"\1" * 160 + b"\x09" * 352 + bytes(4096 - 512)
    assert endings(disk, 1, torn_within=True) == {page(9), page(1), torn}


def test_a_veiled_page_is_not_read_but_may_be_written() -> None:
    disk = Disk(4, {1: page(9), 2: page(8)})
    disk.veil([1])
    with pytest.raises(VeiledError):
        disk.read(1, Choices())
    other = Disk(4, {1: page(7), 2: page(8)})
    other.veil([1])
    assert digest_world([disk]) == digest_world([other])
    disk.pending[1] = [page(1)]
    assert disk.read(1, Choices()) == page(1)
    disk.flush()
    assert disk.read(1, Choices()) == page(1)


def test_worlds_differ_by_contents_candidates_and_what_is_in_sight() -> None:
    worlds = [
        [Disk(4)],
        [Disk(4, {1: page(1)})],
        [Disk(4, {2: page(1)})],
        [Disk(4, pending={1: [page(1)]})],
        power_off([Disk(4, pending={1: [page(1)]})]),
    ]
    assert len({digest_world(world) for world in worlds}) == len(worlds)
    assert digest_world([Disk(4, {1: page()})]) == digest_world([Disk(4)])


def test_the_power_goes_off_before_flushes_a_kill_before_writes_too() -> None:
    def stops(*, crashes: bool, kills: bool) -> list[str]:
        seen: list[str] = []

        def run(choices: Choices) -> None:
            device = CrashDevice(0, Disk(4), Adversary(choices, crashes=crashes, kills=kills))
            try:
                device.write(1, page(1))
                device.flush()
                seen.append("end")
            except Crash as crash:
                seen.append(str(crash).split(" of ")[0])

        try_all(run)
        return seen

    assert stops(crashes=True, kills=False) == ["end", "power off before the flush"]
    assert stops(crashes=False, kills=True) == ["end", "killed before the flush", "killed before a write to page 1"]


def test_one_call_fails_and_only_one() -> None:
    outcomes = []

    def run(choices: Choices) -> None:
        device = CrashDevice(0, Disk(4), Adversary(choices, faults=1))
        failed = []
        for name, call in (
            ("write", lambda: device.write(1, page(1))),
            ("flush", device.flush),
            ("read", lambda: device.read(1, 1)),
        ):
            try:
                call()
            except KernelError:
                failed.append(name)
        outcomes.append(tuple(failed))

    try_all(run)
    assert set(outcomes) == {(), ("write",), ("flush",), ("read",)}


def test_a_read_only_disk_and_a_broken_one() -> None:
    adversary = Adversary(Choices(), read_only=frozenset({0}), broken=frozenset({1}))
    read_only, broken = CrashDevice(0, Disk(4), adversary), CrashDevice(1, Disk(4), adversary)
    assert read_only.read(0, 1) == page()
    with pytest.raises(KernelError, match="EROFS"):
        read_only.write(0, page(1))
    for call in (lambda: broken.read(0, 1), lambda: broken.write(0, page()), broken.flush):
        with pytest.raises(KernelError, match="EIO"):
            call()
