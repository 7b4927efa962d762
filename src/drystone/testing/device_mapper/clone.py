# ruff: noqa: D103  a check is named by what it checks
"""Checks of the clone target: what it takes, prints and answers, and what its metadata remembers."""

from __future__ import annotations

import errno

from drystone.kernel.dm.abc import DeviceInfo, TableLine
from drystone.kernel.dm.clone import CloneStatus
from drystone.kernel.dm.targets import parse_target
from drystone.testing.device_mapper.bench import DISK_SECTORS, Bench

_LENGTH = 4096
_REGION = 64


def _line(bench: Bench, rest: str = "1 no_hydration", *, length: int = _LENGTH, region: int = _REGION) -> TableLine:
    metadata, destination, source, _ = bench.disks
    return TableLine(0, length, "clone", f"{metadata} {destination} {source} {region} {rest}".rstrip())


def _status(bench: Bench, info: DeviceInfo) -> CloneStatus:
    status = CloneStatus.parse(bench.text(info.name))
    assert status is not None
    return status


def check_clone(bench: Bench) -> None:
    line = _line(bench, "1 no_hydration 4 hydration_threshold 8 hydration_batch_size 2")
    info = bench.make(line)
    (found,) = bench.dm.table(info.name)
    assert (found.length, parse_target(found)) == (_LENGTH, parse_target(line))
    status = _status(bench, info)
    assert (status.metadata_block, status.total_metadata) == (8, DISK_SECTORS // 8)
    assert 0 < status.used_metadata < status.total_metadata
    assert (status.region, status.hydrated, status.regions, status.hydrating) == (_REGION, 0, _LENGTH // _REGION, 0)
    assert "no_hydration" in status.features
    assert status.mode == "rw"


def check_clone_refuses(bench: Bench) -> None:
    a, b, c, _ = bench.disks
    name = bench.create()
    for params, length, number in (
        (f"{a} {b} {c}", _LENGTH, errno.EINVAL),
        (f"{a} {b} {c} 4", _LENGTH, errno.EINVAL),
        (f"{a} {b} {c} 24", _LENGTH, errno.EINVAL),
        (f"{a} {b} {c} {1 << 22}", _LENGTH, errno.EINVAL),
        (f"{a} {b} {c} 64 1 nonesuch", _LENGTH, errno.EINVAL),
        (f"{a} {b} {c} 64 0 2 nonesuch 1", _LENGTH, errno.EINVAL),
        (f"{a} {b} {c} 64 0 1 hydration_threshold", _LENGTH, errno.EINVAL),
        (f"{a} {b} {c} 64", DISK_SECTORS + 64, errno.EINVAL),
        (f"{a} {b} 4095:1 64", _LENGTH, errno.ENXIO),
    ):
        try:
            bench.refused(number, bench.dm.load, name, [TableLine(0, length, "clone", params)])
        except AssertionError as error:
            raise AssertionError(f"clone {params}: {error}") from error


def check_clone_counts_what_is_there(bench: Bench) -> None:
    info = bench.make(_line(bench))
    bench.hands.write(info.number, 0, 2 * _REGION)
    bench.soon(lambda: _status(bench, info).hydrated == 2)
    bench.dm.message(info.name, "hydration_threshold 4")
    for text in ("nonesuch", "hydration_threshold", "hydration_threshold x", "hydration_threshold 1 2"):
        bench.refused(errno.EINVAL, bench.dm.message, info.name, text)
    assert _status(bench, info).hydrated == 2
    bench.dm.message(info.name, "enable_hydration whatever")
    bench.soon(lambda: _status(bench, info).hydrated == _LENGTH // _REGION)
    assert "no_hydration" not in _status(bench, info).features


def check_clone_metadata_outlives_its_table(bench: Bench) -> None:
    info = bench.make(_line(bench))
    bench.hands.write(info.number, 5 * _REGION, _REGION)
    bench.soon(lambda: _status(bench, info).hydrated == 1)
    bench.dm.suspend(info.name)
    bench.dm.load(info.name, [_line(bench)])
    bench.dm.resume(info.name)
    assert _status(bench, info).hydrated == 1
    bench.dm.remove(info.name)
    name = bench.create()
    bench.refused(errno.EINVAL, bench.dm.load, name, [_line(bench, region=2 * _REGION)])
    again = bench.make(_line(bench))
    assert _status(bench, again).hydrated == 1


def check_clone_metadata_of_another_kind(bench: Bench) -> None:
    bench.dm.remove(bench.make(_line(bench)).name)
    bench.refused(errno.EILSEQ, bench.dm.load, bench.create(), [bench.pool_line()])
