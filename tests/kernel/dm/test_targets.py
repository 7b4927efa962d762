"""Every target that the product uses, on the real kernel: tables, statuses, messages and their errors.

The texts are what Linux 6.1 says; the simulated kernel is held to the same ones.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import pytest

from drystone.base.errors import KernelError, UnsupportedError
from drystone.kernel.blockdev import device_path, open_device
from drystone.kernel.dm.abc import DeviceInfo, DeviceNumber, TableLine
from drystone.kernel.dm.device_mapper import KernelDeviceMapper

MIB = 2048
Disk = Callable[[int], DeviceNumber]
Activate = Callable[..., DeviceInfo]


def _errno(call: Callable[[], Any]) -> str:
    with pytest.raises(KernelError) as caught:
        call()
    return str(caught.value.facts["errno_name"])


def _status(dm: KernelDeviceMapper, name: str) -> str:
    (found,) = dm.status(name)
    return found.text


def _table(dm: KernelDeviceMapper, name: str) -> str:
    (found,) = dm.table(name)
    return found.params


def test_linear_error_and_zero_in_one_table(dm: KernelDeviceMapper, disk: Disk, activate: Activate) -> None:
    number = disk(16)
    info = activate("one", ("linear", 1000, f"{number} 8"), ("error", 24, ""), ("zero", 1024, ""))
    assert (info.target_count, info.live_table, info.suspended) == (3, True, False)
    assert dm.table("one") == [
        TableLine(0, 1000, "linear", f"{number} 8"),
        TableLine(1000, 24, "error", ""),
        TableLine(1024, 1024, "zero", ""),
    ]
    assert [each.text for each in dm.status("one")] == ["", "", ""]
    assert dm.deps("one") == [number]
    with open_device(device_path(info.number)) as device:
        assert device.size == 2048 * 512
        assert device.pread(1024 * 512, 4096) == bytes(4096)
        assert _errno(lambda: device.pread(1000 * 512, 512)) == "EIO"


def test_striped(dm: KernelDeviceMapper, disk: Disk, activate: Activate) -> None:
    one, two = disk(16), disk(16)
    activate("st", ("striped", 4 * MIB, f"2 128 {one} 0 {two} 0"))
    assert _status(dm, "st") == f"2 {one} {two} 1 AA"
    assert _table(dm, "st") == f"2 128 {one} 0 {two} 0"
    assert set(dm.deps("st")) == {one, two}
    assert _errno(lambda: activate("bad", ("striped", 4 * MIB + 8, f"2 128 {one} 0 {two} 0"))) == "EINVAL"


def test_mirror(dm: KernelDeviceMapper, disk: Disk, activate: Activate) -> None:
    one, two = disk(16), disk(16)
    activate("mi", ("mirror", 4 * MIB, f"core 2 1024 nosync 2 {one} 0 {two} 0 1 handle_errors"))
    assert _status(dm, "mi") == f"2 {one} {two} 8/8 1 AA 1 core"
    assert _table(dm, "mi") == f"core 2 1024 nosync 2 {one} 0 {two} 0 1 handle_errors"


def test_raid1(dm: KernelDeviceMapper, disk: Disk, activate: Activate) -> None:
    one, two = disk(16), disk(16)
    activate("ra", ("raid", 8 * MIB, f"raid1 3 0 region_size 1024 2 - {one} - {two}"))
    limit = time.monotonic() + 60
    while "idle" not in _status(dm, "ra") and time.monotonic() < limit:
        time.sleep(0.05)
    assert _status(dm, "ra") == "raid1 2 AA 16384/16384 idle 0 0 -"
    assert _table(dm, "ra") == f"raid1 3 0 region_size 1024 2 - {one} - {two}"
    assert _errno(lambda: dm.message("ra", "bogus")) == "EINVAL"


def test_snapshot_and_origin(dm: KernelDeviceMapper, disk: Disk, activate: Activate) -> None:
    origin, store = disk(16), disk(16)
    activate("sn", ("snapshot", 16 * MIB, f"{origin} {store} P 8"))
    activate("so", ("snapshot-origin", 16 * MIB, f"{origin}"))
    assert _status(dm, "sn") == f"16/{16 * MIB} 16"
    assert _table(dm, "sn") == f"{origin} {store} P 8"
    assert _status(dm, "so") == ""
    with open_device(device_path(dm.info("so").number), write=True) as device:
        device.pwrite(0, b"x" * 4096)
        device.flush()
    with open_device(device_path(dm.info("sn").number)) as device:
        assert device.pread(0, 4096) == bytes(4096)
    assert _status(dm, "sn") == f"24/{16 * MIB} 16"
    dm.remove("so")
    dm.remove("sn")


def test_cache(dm: KernelDeviceMapper, disk: Disk, activate: Activate) -> None:
    meta, fast, origin = disk(4), disk(16), disk(64)
    activate("ca", ("cache", 64 * MIB, f"{meta} {fast} {origin} 128 1 writethrough smq 0"))
    assert _table(dm, "ca") == f"{meta} {fast} {origin} 128 1 writethrough smq 0"
    assert re.fullmatch(
        r"8 \d+/1024 128 \d+/256 \d+ \d+ \d+ \d+ 0 0 0 1 writethrough 2 migration_threshold 2048 smq 0 rw - ",
        _status(dm, "ca"),
    )


def test_era(dm: KernelDeviceMapper, disk: Disk, activate: Activate) -> None:
    meta, origin = disk(4), disk(64)
    activate("er", ("era", 64 * MIB, f"{meta} {origin} 128"))
    assert re.fullmatch(r"8 \d+/1024 1 -", _status(dm, "er"))
    dm.message("er", "checkpoint")
    assert re.fullmatch(r"8 \d+/1024 2 -", _status(dm, "er"))
    dm.message("er", "take_metadata_snap")
    assert re.fullmatch(r"8 \d+/1024 3 \d+", _status(dm, "er"))
    dm.message("er", "drop_metadata_snap")
    assert _errno(lambda: dm.message("er", "drop_metadata_snap")) == "EINVAL"
    assert _errno(lambda: dm.message("er", "bogus")) == "EINVAL"


@pytest.fixture
def pool(disk: Disk, activate: Activate) -> DeviceInfo:
    """A thin pool of 64 MiB in blocks of 64 KiB."""
    meta, data = disk(4), disk(64)
    return activate("pool", ("thin-pool", 64 * MIB, f"{meta} {data} 128 0"))


def test_a_thin_pool_spells_its_table_its_own_way(dm: KernelDeviceMapper, disk: Disk, activate: Activate) -> None:
    meta, data = disk(4), disk(64)
    activate("pool", ("thin-pool", 64 * MIB, f"{meta} {data} 128 0 1 skip_block_zeroing"))
    assert _table(dm, "pool") == f"{meta} {data} 128 0 1 skip_block_zeroing "
    assert re.fullmatch(r"0 \d+/1024 0/1024 - rw discard_passdown queue_if_no_space - 256 ", _status(dm, "pool"))


@pytest.mark.parametrize(
    ("messages", "refused", "errno_name"),
    [
        (["create_thin 0"], "create_thin 0", "EEXIST"),
        ([], "create_thin", "EINVAL"),
        ([], "create_thin x", "EINVAL"),
        ([], "create_thin 16777216", "EINVAL"),
        ([], "create_snap 2 9", "ENODATA"),
        ([], "delete 1", "ENODATA"),
        ([], "set_transaction_id 1 2", "EINVAL"),
        (["reserve_metadata_snap"], "reserve_metadata_snap", "EBUSY"),
        ([], "release_metadata_snap", "EINVAL"),
        ([], "bogus", "EINVAL"),
    ],
)
@pytest.mark.usefixtures("pool")
def test_messages_that_a_pool_refuses(
    dm: KernelDeviceMapper, messages: list[str], refused: str, errno_name: str
) -> None:
    for text in messages:
        assert dm.message("pool", text) == ""
    before = _status(dm, "pool")
    with pytest.raises(KernelError) as caught:
        dm.message("pool", refused)
    assert caught.value.facts["errno_name"] == errno_name
    assert caught.value.facts["text"] == refused
    assert caught.value.hint.startswith("thin"), "the kernel's own reason"
    assert _status(dm, "pool") == before


def test_thin_devices_and_a_snapshot(dm: KernelDeviceMapper, pool: DeviceInfo, activate: Activate) -> None:
    dm.message("pool", "create_thin 0")
    assert _errno(lambda: activate("none", ("thin", 32 * MIB, f"{pool.number} 9"))) == "ENODATA"
    one = activate("one", ("thin", 32 * MIB, f"{pool.number} 0"))
    assert _status(dm, "one") == "0 -"
    assert dm.info("pool").open_count == 1
    assert _errno(lambda: dm.message("pool", "delete 0")) == "EBUSY"
    with open_device(device_path(one.number), write=True) as device:
        device.pwrite(0, b"x" * (1 << 20))
        device.flush()
    assert _status(dm, "one") == "2048 2047"
    dm.suspend("one")
    dm.message("pool", "create_snap 1 0")
    dm.resume("one")
    snapshot = activate("snap", ("thin", 32 * MIB, f"{pool.number} 1"))
    with open_device(device_path(one.number), write=True) as device:
        device.pwrite(0, b"y" * 4096)
    with open_device(device_path(snapshot.number)) as device:
        assert device.pread(0, 4096) == b"x" * 4096
    assert dm.deps("snap") == [pool.number]
    assert re.match(r"0 \d+/1024 17/1024 - rw ", _status(dm, "pool"))
    assert _errno(lambda: dm.remove("pool")) == "EBUSY"


def test_the_transaction_id_is_set_when_the_old_one_is_right(dm: KernelDeviceMapper, pool: DeviceInfo) -> None:
    del pool
    dm.message("pool", "set_transaction_id 0 1")
    assert _status(dm, "pool").startswith("1 ")


def test_a_read_only_pool_refuses_messages(dm: KernelDeviceMapper, pool: DeviceInfo) -> None:
    params = _table(dm, "pool").split()[:4]
    dm.load("pool", [TableLine(0, 64 * MIB, "thin-pool", " ".join([*params, "1", "read_only"]))])
    assert dm.resume("pool").event_nr > pool.event_nr, "a change of mode is an event"
    assert _status(dm, "pool").split()[4] == "ro"
    assert _errno(lambda: dm.message("pool", "create_thin 0")) == "ENOTSUP"


@pytest.mark.parametrize("params", ["{meta} {data} 100 0", "{meta} {data} 64 0", "{meta} {data} 128 0 1 bogus"])
def test_pool_tables_that_are_refused(disk: Disk, activate: Activate, params: str) -> None:
    text = params.format(meta=disk(4), data=disk(64))
    assert _errno(lambda: activate("pool", ("thin-pool", 64 * MIB, text))) == "EINVAL"


def test_metadata_that_is_junk_is_refused(disk: Disk, activate: Activate) -> None:
    meta, data = disk(4), disk(64)
    with open_device(device_path(meta), write=True) as device:
        device.pwrite(0, b"junk" * 1024)
    assert _errno(lambda: activate("pool", ("thin-pool", 64 * MIB, f"{meta} {data} 128 0"))) == "ENOTBLK"


def test_a_thin_whose_pool_is_no_pool(disk: Disk, activate: Activate) -> None:
    number = disk(16)
    assert _errno(lambda: activate("thin", ("thin", MIB, f"{number} 0"))) == "EINVAL"


def test_targets_are_loaded_or_named(dm: KernelDeviceMapper) -> None:
    dm.ensure_targets(["thin-pool", "thin", "snapshot-origin", "mirror", "raid", "cache", "era", "zero", "linear"])
    assert {"thin", "era", "snapshot-merge"} <= {each.name for each in dm.target_versions()}
    with pytest.raises(UnsupportedError, match="no target bogus") as caught:
        dm.ensure_targets(["linear", "bogus"])
    assert "dm-bogus" in caught.value.hint
