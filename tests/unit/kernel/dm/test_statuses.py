"""Status texts, as kernels print them."""

from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.kernel.dm.abc import TargetStatus
from drystone.kernel.dm.statuses import (
    CacheStatus,
    EraStatus,
    MirrorStatus,
    RaidStatus,
    SnapshotStatus,
    Status,
    ThinPoolStatus,
    ThinStatus,
    Unusable,
    parse_status,
)

TEXTS: list[tuple[str, str, Status | None]] = [
    (
        "thin-pool",
        "0 828/8192 0/64 - rw discard_passdown queue_if_no_space - 1024 ",
        ThinPoolStatus(0, 828, 8192, 0, 64, None, "rw", "discard_passdown", False, False, 1024),
    ),
    (
        "thin-pool",
        "7 10/12 3/10 53 out_of_data_space ignore_discard error_if_no_space needs_check",
        ThinPoolStatus(7, 10, 12, 3, 10, 53, "out_of_data_space", "ignore_discard", True, True, 0),
    ),
    ("thin-pool", "Fail", Unusable("Fail")),
    ("thin-pool", "Error", Unusable("Error")),
    ("thin", "0 -", ThinStatus(0, None)),
    ("thin", "1280 4095", ThinStatus(1280, 4095)),
    ("thin", "Fail", Unusable("Fail")),
    ("era", "8 9/8192 1 -", EraStatus(8, 9, 8192, 1, None)),
    ("era", "8 12/8192 5 35", EraStatus(8, 12, 8192, 5, 35)),
    ("era", "Error", Unusable("Error")),
    ("snapshot", "24/65536 16", SnapshotStatus(24, 65536, 16)),
    ("snapshot", "Merge failed", Unusable("Merge failed")),
    ("snapshot-merge", "Invalid", Unusable("Invalid")),
    ("mirror", "2 7:3 7:4 0/4 1 AD 1 core", MirrorStatus(("7:3", "7:4"), 0, 4, "AD", ("core",))),
    ("mirror", "2 7:3 7:4 4/4 1 AA 3 disk 7:5 A", MirrorStatus(("7:3", "7:4"), 4, 4, "AA", ("disk", "7:5", "A"))),
    ("raid", "raid1 2 Aa 64/4096 recover 0 0 -", RaidStatus("raid1", 2, "Aa", 64, 4096, "recover", 0, 0, "-")),
    (
        "cache",
        "8 8/8192 128 0/512 1 2 3 4 5 6 7 1 writethrough 2 migration_threshold 2048 smq 0 rw - ",
        CacheStatus(8, 8, 8192, 128, 0, 512, (1, 2, 3, 4, 5, 6), 7, ("writethrough",), "smq", "rw", False),
    ),
    ("cache", "Fail", Unusable("Fail")),
    ("linear", "", None),
]


@pytest.mark.parametrize(("target", "text", "status"), TEXTS)
def test_parsed(target: str, text: str, status: Status | None) -> None:
    assert parse_status(TargetStatus(0, 8, target, text)) == status


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("thin-pool", ""),
        ("thin-pool", "0 1 2/3 - rw discard_passdown queue_if_no_space -"),
        ("thin-pool", "0 1/2 3/4 - wo discard_passdown queue_if_no_space -"),
        ("thin", "1"),
        ("thin", "1 2 3"),
        ("era", "8 9/8192 1"),
        ("snapshot", "16"),
        ("mirror", "2 7:0"),
        ("raid", "raid1"),
        ("cache", "8 8/8192 128"),
    ],
)
def test_other_text_is_refused(target: str, text: str) -> None:
    with pytest.raises(UsageError):
        parse_status(TargetStatus(0, 8, target, text))
