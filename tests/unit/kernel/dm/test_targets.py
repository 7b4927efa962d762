"""Target parameters: text to values and back."""

from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.targets import (
    TARGETS,
    Cache,
    Leg,
    Linear,
    Mirror,
    Opaque,
    Raid,
    RaidLeg,
    Snapshot,
    SnapshotMerge,
    Striped,
    Thin,
    ThinPool,
    devices,
    make_line,
    map_devices,
    parse_target,
)

LINES = {
    "linear": ("7:0 384", ["7:0"]),
    "striped": ("2 128 7:0 0 7:1 8", ["7:0", "7:1"]),
    "error": ("", []),
    "zero": ("", []),
    "mirror": ("disk 3 7:2 1024 nosync 2 7:0 0 7:1 0 1 handle_errors", ["7:2", "7:0", "7:1"]),
    "raid": ("raid1 3 0 region_size 1024 2 7:0 7:1 - 7:2", ["7:0", "7:1", "7:2"]),
    "thin-pool": ("{meta} {data} 128 32 1 skip_block_zeroing", ["{meta}", "{data}"]),
    "thin": ("/dev/mapper/pool 7 {origin}", ["/dev/mapper/pool", "{origin}"]),
    "snapshot": ("7:0 7:1 P 8", ["7:0", "7:1"]),
    "snapshot-merge": ("7:0 7:1 PO 16 1 discard_zeroes_cow", ["7:0", "7:1"]),
    "snapshot-origin": ("7:0", ["7:0"]),
    "cache": ("7:0 7:1 7:2 128 1 writethrough smq 2 migration_threshold 4096", ["7:0", "7:1", "7:2"]),
    "era": ("7:0 7:1 64", ["7:0", "7:1"]),
    "clone": ("7:0 7:1 7:2 2048 1 no_hydration 2 hydration_threshold 16", ["7:0", "7:1", "7:2"]),
    "crypt": ("aes-xts-plain64 :32:logon:key 0 7:0 4096", ["7:0"]),
}


@pytest.mark.parametrize("kind", LINES)
def test_the_text_comes_back(kind: str) -> None:
    params, found = LINES[kind]
    line = TableLine(8, 16, kind, params)
    assert make_line(8, 16, parse_target(line)) == line
    assert devices(line) == found


def test_every_kind_is_tried() -> None:
    assert set(TARGETS) == set(LINES) - {"crypt"}


@pytest.mark.parametrize("kind", LINES)
def test_devices_are_changed_in_the_order_of_the_text(kind: str) -> None:
    params, found = LINES[kind]
    counter = iter(range(9))
    changed = map_devices(TableLine(0, 8, kind, params), lambda _: f"9:{next(counter)}")
    assert devices(changed) == [f"9:{at}" for at in range(len(found))]


def test_values() -> None:
    assert parse_target(TableLine(0, 8, "linear", " 7:0\t0 ")) == Linear("7:0")
    assert Striped.parse("1 8 7:0 5") == Striped(8, (Leg("7:0", 5),))
    assert Mirror.parse("core 1 1024 2 a 0 b 1") == Mirror((Leg("a"), Leg("b", 1)), 1024)
    assert Raid.parse("raid1 1 64 2 - a - b") == Raid("raid1", 0, (RaidLeg("-", "a"), RaidLeg("-", "b")))
    assert Thin.parse("pool 3") == Thin("pool", 3)
    assert Snapshot.parse("a b p 8") == Snapshot("a", "b", "P", 8)
    assert SnapshotMerge.parse("a b P 8") != Snapshot.parse("a b P 8")
    assert Cache.parse("m f o 64 0 smq 0") == Cache("m", "f", "o", 64, (), "smq")
    assert parse_target(TableLine(0, 8, "flakey", "7:0 0 1 1")) == Opaque("flakey", ("7:0", "0", "1", "1"))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("7:0 7:1 128 0", "7:0 7:1 128 0 0 "),
        ("7:0 7:1 128 0 2 READ_ONLY error_if_no_space", "7:0 7:1 128 0 2 error_if_no_space read_only "),
    ],
)
def test_spellings_of_a_pool_mean_the_same(one: str, two: str) -> None:
    assert ThinPool.parse(one) == ThinPool.parse(two)


def test_options_of_raid_are_put_in_the_kernels_order() -> None:
    one = Raid.parse("raid1 5 0 region_size 64 rebuild 0 2 - a - b")
    assert one == Raid.parse("raid1 5 0 rebuild 0 region_size 64 2 - a - b")


def test_a_blank_in_a_path_is_quoted() -> None:
    line = make_line(0, 8, Linear("/dev/mapper/a b\\", 0))
    assert line.params == "/dev/mapper/a\\ b\\\\ 0"
    assert parse_target(line) == Linear("/dev/mapper/a b\\", 0)


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("linear", "7:0"),
        ("linear", "7:0 -1"),
        ("linear", "7:0 1 2"),
        ("linear", "7:0 99999999999999999999999"),
        ("linear", "7:0 \u0661"),
        ("striped", "9999999999 8 7:0 0"),
        ("striped", "0 8"),
        ("zero", "x"),
        ("mirror", "core 1 1024 1 a 0"),
        ("mirror", "core 3 1024 sync x 2 a 0 b 0"),
        ("mirror", "core 1 1024 2 a 0 b 0 1 keep_log"),
        ("raid", "raid1 99 0 2 - a - b"),
        ("raid", "raid1 1 0 2 - a - b -"),
        ("raid", "raid1 2 0 rebuild 2 - a - b"),
        ("thin-pool", "a b 128"),
        ("thin-pool", "a b 128 0 1 nonesuch"),
        ("thin", "a"),
        ("thin", "a 1 b c"),
        ("snapshot", "a b X 8"),
        ("snapshot", "a b P 8 1 discard_passdown_origin"),
        ("cache", "a b c 64 0 smq"),
        ("era", "a b"),
    ],
)
def test_wrong_words_are_refused(kind: str, params: str) -> None:
    with pytest.raises(UsageError, match=f"^{kind}: "):
        parse_target(TableLine(0, 8, kind, params))
