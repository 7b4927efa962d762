# ruff: noqa: D103  a check is named by what it checks
"""Checks of the targets that are not thin: what they take, print and answer."""

from __future__ import annotations

import errno

from drystone.kernel.dm.abc import DeviceInfo, TableLine
from drystone.kernel.dm.statuses import (
    CacheStatus,
    EraStatus,
    MirrorStatus,
    RaidStatus,
    SnapshotStatus,
    Unusable,
)
from drystone.kernel.dm.targets import parse_target
from drystone.testing.device_mapper.bench import DISK_SECTORS, Bench


def _refuse_all(bench: Bench, target: str, length: int, params: list[tuple[str, int]]) -> None:
    name = bench.create()
    for text, number in params:
        line = TableLine(0, length, target, text)
        try:
            bench.refused(number, bench.dm.load, name, [line])
        except AssertionError as error:
            raise AssertionError(f"{target} {text}: {error}") from error


def check_error_takes_any_words(bench: Bench) -> None:
    info = bench.make(TableLine(0, 8, "error", "some words"))
    assert bench.dm.table(info.name) == [TableLine(0, 8, "error", "")]


def check_striped(bench: Bench) -> None:
    a, b, *_ = bench.disks
    line = TableLine(0, 4096, "striped", f"2 16 {a} 0 {b} 64")
    info = bench.make(line)
    assert bench.dm.table(info.name) == [line]
    assert bench.text(info.name) == f"2 {a} {b} 1 AA"
    assert bench.dm.deps(info.name) == [b, a]
    _refuse_all(
        bench,
        "striped",
        4096,
        [
            (f"2 16 {a} 0", errno.EINVAL),
            (f"0 16 {a} 0", errno.EINVAL),
            (f"1 0 {a} 0", errno.EINVAL),
            (f"3 16 {a} 0 {a} 0 {a} 0", errno.EINVAL),
            (f"2 48 {a} 0 {b} 0", errno.EINVAL),
            (f"1 16 {a} {DISK_SECTORS - 4088}", errno.EINVAL),
            (f"2 16 {a} 0 4095:1 0", errno.ENXIO),
        ],
    )


def check_striped_over_a_failure(bench: Bench) -> None:
    broken = bench.make(TableLine(0, 4096, "error"))
    info = bench.make(TableLine(0, 4096, "striped", f"2 16 {bench.disks[0]} 0 {broken.number} 0"))
    bench.hands.write(info.number, 0, 8)
    assert bench.dm.info(info.name).event_nr == 0
    bench.refused(errno.EIO, bench.hands.write, info.number, 16, 8)
    assert bench.text(info.name).endswith(" 1 AD")
    bench.soon(lambda: bench.dm.info(info.name).event_nr == 1)


def check_mirror(bench: Bench) -> None:
    a, b, log, _ = bench.disks
    line = TableLine(0, 4096, "mirror", f"core 2 1024 nosync 2 {a} 0 {b} 8 1 handle_errors")
    info = bench.make(line)
    assert parse_target(bench.dm.table(info.name)[0]) == parse_target(line)
    status = MirrorStatus.parse(bench.text(info.name))
    assert status == MirrorStatus((str(a), str(b)), 4, 4, "AA", ("core",))
    disk = bench.make(TableLine(0, 4096, "mirror", f"disk 3 {log} 1024 nosync 2 {a} 0 {b} 8"))
    assert MirrorStatus.parse(bench.text(disk.name)).log == ("disk", str(log), "A")
    _refuse_all(
        bench,
        "mirror",
        4096,
        [
            (f"core 1 1000 2 {a} 0 {b} 0", errno.EINVAL),
            (f"core 1 8192 2 {a} 0 {b} 0", errno.EINVAL),
            (f"core 1 1024 1 {a} 0", errno.EINVAL),
            (f"core 2 1024 perhaps 2 {a} 0 {b} 0", errno.EINVAL),
            (f"nonesuch 1 1024 2 {a} 0 {b} 0", errno.EINVAL),
            (f"core 1 1024 2 {a} 0", errno.EINVAL),
            (f"core 1 1024 2 {a} 0 {b} 0 1 nonesuch", errno.EINVAL),
            (f"core 1 1024 2 {a} 0 4095:1 0", errno.ENXIO),
            (f"disk 2 4095:1 1024 2 {a} 0 {b} 0", errno.EINVAL),
        ],
    )


def check_raid(bench: Bench) -> None:
    a, b, *_ = bench.disks
    line = TableLine(0, 4096, "raid", f"raid1 2 0 nosync 2 - {a} - {b}")
    info = bench.make(line)
    assert parse_target(bench.dm.table(info.name)[0]) == parse_target(line)
    status = RaidStatus.parse(bench.text(info.name))
    assert (status.level, status.legs, status.health, status.action) == ("raid1", 2, "AA", "idle")
    assert status.in_sync == status.sectors == 4096
    _refuse_all(
        bench,
        "raid",
        4096,
        [
            ("", errno.EINVAL),
            (f"raid7 1 0 2 - {a} - {b}", errno.EINVAL),
            (f"raid1 0 2 - {a} - {b}", errno.EINVAL),
            (f"raid1 1 0 3 - {a} - {b}", errno.EINVAL),
            (f"raid1 2 0 nonesuch 2 - {a} - {b}", errno.EINVAL),
            (f"raid1 3 0 sync nosync 2 - {a} - {b}", errno.EINVAL),
            (f"raid5_ls 1 4 3 - {a} - {b} - {a}", errno.EINVAL),
            (f"raid1 1 0 2 - {a} - 4095:1", errno.ENXIO),
        ],
    )
    _refuse_all(bench, "raid", DISK_SECTORS + 8, [(f"raid1 2 0 nosync 2 - {a} - {b}", errno.EINVAL)])


def _era_line(bench: Bench, block: int = 64) -> TableLine:
    return TableLine(0, 4096, "era", f"{bench.disks[0]} {bench.disks[1]} {block}")


def _era(bench: Bench, info: DeviceInfo) -> EraStatus:
    status = EraStatus.parse(bench.text(info.name))
    assert isinstance(status, EraStatus)
    return status


def check_era(bench: Bench) -> None:
    info = bench.make(_era_line(bench))
    assert bench.dm.table(info.name) == [_era_line(bench)]
    status = _era(bench, info)
    assert (status.metadata_block, status.total_metadata) == (8, DISK_SECTORS // 8)
    assert 0 < status.used_metadata < status.total_metadata
    assert (status.current_era, status.held_root) == (1, None)
    a, b = bench.disks[:2]
    _refuse_all(
        bench,
        "era",
        4096,
        [
            (f"{a} {b}", errno.EINVAL),
            (f"{a} {b} 0", errno.EINVAL),
            (f"{a} {b} 12", errno.EINVAL),
            (f"{a} {b} x", errno.EINVAL),
            (f"4095:1 {b} 64", errno.EINVAL),
            (f"{a} /dev/nonesuch 64", errno.EINVAL),
            (f"{a} {b} 128", errno.EINVAL),
        ],
    )


def check_era_counts(bench: Bench) -> None:
    info = bench.make(_era_line(bench))
    bench.dm.message(info.name, "checkpoint")
    assert _era(bench, info).current_era == 2
    bench.hands.write(info.number, 0, 8)
    assert _era(bench, info).current_era == 2
    bench.dm.suspend(info.name)
    bench.dm.resume(info.name)
    assert _era(bench, info).current_era == 3
    bench.dm.remove(info.name)
    assert _era(bench, bench.make(_era_line(bench))).current_era == 4


def check_era_metadata_snapshot(bench: Bench) -> None:
    info = bench.make(_era_line(bench))
    bench.refused(errno.EINVAL, bench.dm.message, info.name, "drop_metadata_snap")
    bench.dm.message(info.name, "TAKE_metadata_snap")
    status = _era(bench, info)
    assert status.held_root
    assert status.current_era == 2
    bench.refused(errno.EINVAL, bench.dm.message, info.name, "take_metadata_snap")
    assert _era(bench, info).current_era == 2
    bench.dm.message(info.name, "drop_metadata_snap")
    assert _era(bench, info).held_root is None
    for text in ("checkpoint now", "nonesuch"):
        bench.refused(errno.EINVAL, bench.dm.message, info.name, text)


def check_era_may_be_longer_than_its_origin(bench: Bench) -> None:
    info = bench.make(TableLine(0, 2 * DISK_SECTORS, "era", _era_line(bench).params))
    assert _era(bench, info).current_era == 1


def check_metadata_of_another_kind(bench: Bench) -> None:
    bench.dm.remove(bench.make(_era_line(bench)).name)
    bench.refused(errno.EILSEQ, bench.dm.load, bench.create(), [bench.pool_line()])


def _snapshot(bench: Bench, store: str = "P", chunk: int = 8, *, kind: str = "snapshot") -> TableLine:
    return TableLine(0, 4096, kind, f"{bench.disks[0]} {bench.disks[1]} {store} {chunk}")


def _used(bench: Bench, info: DeviceInfo) -> SnapshotStatus:
    status = SnapshotStatus.parse(bench.text(info.name))
    assert isinstance(status, SnapshotStatus), status
    return status


def check_snapshot(bench: Bench) -> None:
    info = bench.make(_snapshot(bench))
    assert bench.dm.table(info.name) == [_snapshot(bench)]
    assert _used(bench, info) == SnapshotStatus(16, DISK_SECTORS, 16)
    bench.hands.write(info.number, 0, 24)
    bench.hands.write(info.number, 8, 8)
    assert _used(bench, info) == SnapshotStatus(40, DISK_SECTORS, 16)
    bench.dm.remove(info.name)
    assert _used(bench, bench.make(_snapshot(bench))).allocated == 40


def check_snapshot_in_memory(bench: Bench) -> None:
    info = bench.make(_snapshot(bench, "N"))
    assert bench.dm.table(info.name) == [_snapshot(bench, "N")]
    assert _used(bench, info) == SnapshotStatus(0, DISK_SECTORS, 0)
    bench.hands.write(info.number, 0, 8)
    assert _used(bench, info).allocated == 8
    bench.dm.remove(info.name)
    assert _used(bench, bench.make(_snapshot(bench, "N"))).allocated == 0


def check_snapshot_refused(bench: Bench) -> None:
    a, b = bench.disks[:2]
    _refuse_all(
        bench,
        "snapshot",
        4096,
        [
            (f"{a} {b} P", errno.EINVAL),
            (f"{a} {a} P 8", errno.EINVAL),
            (f"{a} {b} X 8", errno.EINVAL),
            (f"{a} {b} P 12", errno.EINVAL),
            (f"{a} {b} N 0", errno.EINVAL),
            (f"{a} {b} P 8 1 nonesuch", errno.EINVAL),
            (f"{a} {b} P 8 1 discard_passdown_origin", errno.EINVAL),
            (f"4095:1 {b} P 8", errno.ENXIO),
            (f"{a} 4095:1 P 8", errno.ENXIO),
        ],
    )


def check_snapshot_origin(bench: Bench) -> None:
    snap = bench.make(_snapshot(bench))
    origin = bench.make(TableLine(0, 4096, "snapshot-origin", f"{bench.disks[0]}"))
    assert bench.text(origin.name) == ""
    bench.hands.write(origin.number, 0, 16)
    assert _used(bench, snap).allocated == 32
    bench.hands.write(snap.number, 0, 8)
    assert _used(bench, snap).allocated == 32
    bench.dm.suspend(origin.name)
    bench.dm.resume(origin.name)
    _refuse_all(
        bench,
        "snapshot-origin",
        8,
        [("", errno.EINVAL), ("4095:1", errno.ENXIO), (f"{bench.disks[0]} 0", errno.EINVAL)],
    )


def check_snapshot_overflow(bench: Bench) -> None:
    cow = bench.make(bench.linear(1, 32))
    snap = bench.make(TableLine(0, 4096, "snapshot", f"{bench.disks[0]} {cow.number} P 8"))
    origin = bench.make(TableLine(0, 4096, "snapshot-origin", f"{bench.disks[0]}"))
    bench.hands.write(origin.number, 0, 16)
    assert _used(bench, snap) == SnapshotStatus(32, 32, 16)
    bench.hands.write(origin.number, 16, 8)
    assert SnapshotStatus.parse(bench.text(snap.name)) == Unusable("Invalid")
    assert bench.dm.info(snap.name).event_nr == 1


def check_snapshot_handover(bench: Bench) -> None:
    snap = bench.make(_snapshot(bench))
    bench.hands.write(snap.number, 0, 8)
    bench.dm.load(snap.name, [_snapshot(bench)])
    bench.refused(errno.EINVAL, bench.dm.load, bench.create(), [_snapshot(bench)])
    bench.dm.resume(snap.name)
    assert _used(bench, snap).allocated == 24
    assert bench.dm.table(snap.name) == [_snapshot(bench)]


def check_cache(bench: Bench) -> None:
    a, b, c, _ = bench.disks
    line = TableLine(0, 4096, "cache", f"{a} {b} {c} 128 1 writethrough smq 0")
    info = bench.make(line)
    assert parse_target(bench.dm.table(info.name)[0]) == parse_target(line)
    status = CacheStatus.parse(bench.text(info.name))
    assert isinstance(status, CacheStatus)
    assert (status.metadata_block, status.total_metadata, status.cache_block) == (8, DISK_SECTORS // 8, 128)
    assert (status.used_cache, status.total_cache, status.dirty) == (0, DISK_SECTORS // 128, 0)
    assert (status.features, status.policy, status.mode, status.needs_check) == (("writethrough",), "smq", "rw", False)
    bench.dm.message(info.name, "migration_threshold 4096")
    assert " migration_threshold 4096 " in bench.text(info.name)
    for text in ("migration_threshold", "nonesuch 1", "nonesuch"):
        bench.refused(errno.EINVAL, bench.dm.message, info.name, text)
    assert bench.dm.deps(info.name) == [c, b, a]


def check_cache_refused(bench: Bench) -> None:
    a, b, c, _ = bench.disks
    _refuse_all(
        bench,
        "cache",
        4096,
        [
            (f"{a} {b} {c}", errno.EINVAL),
            (f"{a} {b} {c} 32 0 smq 0", errno.EINVAL),
            (f"{a} {b} {c} 100 0 smq 0", errno.EINVAL),
            (f"{a} {b} {c} 64 1 nonesuch smq 0", errno.EINVAL),
            (f"{a} {b} {c} 64 2 writeback passthrough smq 0", errno.EINVAL),
            (f"{a} {b} {c} 64 0 nonesuch 0", errno.EINVAL),
            (f"{a} {b} {c} {2 * DISK_SECTORS} 0 smq 0", errno.EINVAL),
            (f"{a} 4095:1 {c} 64 0 smq 0", errno.ENXIO),
        ],
    )
    _refuse_all(bench, "cache", DISK_SECTORS + 64, [(f"{a} {b} {c} 64 0 smq 0", errno.EINVAL)])
