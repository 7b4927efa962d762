# ruff: noqa: D103  a check is named by what it checks
"""Checks of thin pools and thin devices."""

from __future__ import annotations

import errno

from drystone.kernel.dm.abc import TableLine
from drystone.kernel.dm.statuses import ThinStatus
from drystone.kernel.dm.targets import ThinPool, parse_target
from drystone.testing.device_mapper.bench import BLOCK, DISK_SECTORS, Bench


def check_pool_is_formatted(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    status = bench.pool_status(pool)
    assert (status.transaction_id, status.used_data, status.total_data) == (0, 0, 64)
    assert 0 < status.used_metadata < status.total_metadata == DISK_SECTORS // 8
    assert (status.held_root, status.mode, status.error_if_no_space, status.needs_check) == (None, "rw", False, False)
    assert status.metadata_low_water == 1024
    assert bench.dm.deps(pool.name) == [bench.disks[1], bench.disks[0]]


def check_pool_table_text(bench: Bench) -> None:
    pool = bench.make(bench.pool_line(low_water=3))
    (line,) = bench.dm.table(pool.name)
    assert line.params == f"{bench.disks[0]} {bench.disks[1]} {BLOCK} 3 0 "
    bench.dm.load(pool.name, [bench.pool_line(low_water=4, features="2 error_if_no_space SKIP_block_zeroing")])
    bench.dm.resume(pool.name)
    (line,) = bench.dm.table(pool.name)
    assert line.params.endswith(f" {BLOCK} 4 2 skip_block_zeroing error_if_no_space ")
    value = parse_target(line)
    assert isinstance(value, ThinPool)
    assert value.error_if_no_space
    assert value.skip_block_zeroing
    assert bench.pool_status(pool).error_if_no_space


def check_pool_parameters_refused(bench: Bench) -> None:
    name, (metadata, data) = bench.create(), bench.disks[:2]
    for params in (
        f"{metadata} {data} 128",
        f"{metadata} {metadata} 128 0",
        f"{metadata} {data} 64 0",
        f"{metadata} {data} 192 0",
        f"{metadata} {data} 2097280 0",
        f"{metadata} {data} x 0",
        f"{metadata} {data} 128 x",
        f"{metadata} {data} 128 0 1 nonesuch",
        f"{metadata} {data} 128 0 2 read_only",
        f"{metadata} {data} 128 0 5 read_only read_only read_only read_only read_only",
    ):
        load = [TableLine(0, 64 * BLOCK, "thin-pool", params)]
        try:
            bench.refused(errno.EINVAL, bench.dm.load, name, load)
        except AssertionError as error:
            raise AssertionError(f"{params}: {error}") from error
    bench.refused(errno.EINVAL, bench.dm.load, name, [bench.pool_line()], read_only=True)
    bench.refused(errno.ENXIO, bench.dm.load, name, [TableLine(0, 8, "thin-pool", f"{metadata} 4095:9 128 0")])
    bench.refused(errno.EINVAL, bench.dm.load, name, [bench.pool_line(length=DISK_SECTORS + BLOCK)])


def check_pool_stands_alone(bench: Bench) -> None:
    name, pool = bench.create(), bench.pool_line()
    after = TableLine(pool.length, 8, "zero")
    bench.refused(errno.EINVAL, bench.dm.load, name, [pool, after])
    later = TableLine(8, pool.length, "thin-pool", pool.params)
    bench.refused(errno.EINVAL, bench.dm.load, name, [TableLine(0, 8, "zero"), later])


def check_pool_is_immutable(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    bench.refused(errno.EINVAL, bench.dm.load, pool.name, [bench.linear(2)])
    bench.dm.load(pool.name, [TableLine(0, 64 * BLOCK, "error")])
    bench.dm.clear(pool.name)


def check_pool_devices_cannot_change(bench: Bench) -> None:
    pool, (metadata, data, third, _) = bench.make(bench.pool_line()), bench.disks

    def load(name: str, *devices: object) -> None:
        params = f"{devices[0]} {devices[1]} {BLOCK} 0"
        bench.dm.load(name, [TableLine(0, 64 * BLOCK, "thin-pool", params)])

    bench.refused(errno.EBUSY, load, pool.name, metadata, third)
    bench.refused(errno.EINVAL, load, pool.name, third, data)
    bench.refused(errno.EBUSY, load, bench.create(), metadata, third)
    load(bench.create(), third, data)


def check_pool_block_stays(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    line = TableLine(0, 64 * BLOCK, "thin-pool", f"{bench.disks[0]} {bench.disks[1]} {2 * BLOCK} 0")
    bench.dm.load(pool.name, [line])
    bench.dm.resume(pool.name)
    assert f" {BLOCK} 0 0 " in bench.dm.table(pool.name)[0].params
    assert bench.pool_status(pool).total_data == 64
    bench.dm.message(pool.name, "create_thin 0")
    bench.dm.remove(pool.name)
    bench.refused(errno.EINVAL, bench.dm.load, bench.create(), [line])


def check_pool_discard_support_stays(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    bench.refused(errno.EINVAL, bench.dm.load, pool.name, [bench.pool_line(features="1 ignore_discard")])
    bench.dm.load(pool.name, [bench.pool_line(features="1 no_discard_passdown")])
    bench.dm.resume(pool.name)
    assert bench.pool_status(pool).discard == "no_discard_passdown"


def check_pool_ignores_discards(bench: Bench) -> None:
    name = bench.create()
    line = bench.pool_line(features="1 ignore_discard")
    bench.dm.load(name, [line])
    bench.refused(errno.EINVAL, bench.dm.load, name, [line])
    assert bench.pool_status(bench.dm.resume(name)).discard == "ignore_discard"


def check_pool_grows(bench: Bench) -> None:
    pool = bench.make(bench.pool_line(length=10 * BLOCK + 8))
    assert bench.pool_status(pool).total_data == 10
    bench.dm.load(pool.name, [bench.pool_line(length=20 * BLOCK)])
    assert bench.pool_status(bench.dm.resume(pool.name)).total_data == 20


def check_pool_does_not_shrink(bench: Bench) -> None:
    pool = bench.make(bench.pool_line(length=20 * BLOCK))
    bench.dm.load(pool.name, [bench.pool_line(length=10 * BLOCK)])
    bench.refused(errno.EINVAL, bench.dm.resume, pool.name)
    info = bench.dm.info(pool.name)
    assert (info.suspended, info.inactive_table) == (True, False)
    assert bench.dm.table(pool.name)[0].length == 10 * BLOCK
    bench.dm.load(pool.name, [bench.pool_line(length=20 * BLOCK)])
    assert not bench.dm.resume(pool.name).suspended


def check_messages(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())

    def refused(text: str, number: int) -> None:
        try:
            bench.refused(number, bench.dm.message, pool.name, text)
        except AssertionError as error:
            raise AssertionError(f"{text}: {error}") from error

    assert bench.dm.message(pool.name, "CREATE_thin 5") == ""
    bench.dm.message(pool.name, f"create_thin {(1 << 24) - 1}", sector=7)
    refused("create_thin 5", errno.EEXIST)
    bench.dm.message(pool.name, "create_snap 6 5")
    refused("create_snap 6 5", errno.EEXIST)
    refused("create_snap 7 8", errno.ENODATA)
    refused("create_snap 5 8", errno.EEXIST)
    bench.dm.message(pool.name, "delete 5")
    refused("delete 5", errno.ENODATA)
    for text in (
        *("create_thin", "create_thin 1 2", "create_thin x", "create_thin -1", f"create_thin {1 << 24}"),
        *("create_snap 1", "delete", "nonesuch", "set_transaction_id 1", "reserve_metadata_snap 1"),
        *("delete 0x6", "trim 1 2 3", "set_transaction_id x 1", "set_transaction_id 0 y"),
    ):
        refused(text, errno.EINVAL)


def check_transaction_ids(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    bench.dm.message(pool.name, "set_transaction_id 0 7")
    assert bench.pool_status(pool).transaction_id == 7
    bench.refused(errno.EINVAL, bench.dm.message, pool.name, "set_transaction_id 0 8")
    bench.dm.message(pool.name, f"set_transaction_id 7 {(1 << 64) - 1}")
    assert bench.pool_status(pool).transaction_id == (1 << 64) - 1
    bench.refused(errno.EINVAL, bench.dm.message, pool.name, f"set_transaction_id {(1 << 64) - 1} {1 << 64}")


def check_metadata_snapshot(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    bench.refused(errno.EINVAL, bench.dm.message, pool.name, "release_metadata_snap")
    bench.dm.message(pool.name, "reserve_metadata_snap")
    assert bench.pool_status(pool).held_root
    bench.refused(errno.EBUSY, bench.dm.message, pool.name, "reserve_metadata_snap")
    bench.dm.message(pool.name, "release_metadata_snap")
    assert bench.pool_status(pool).held_root is None


def check_metadata_snapshot_keeps_blocks(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    thin = bench.thin(pool, 0)
    bench.hands.write(thin.number, 0, 4 * BLOCK)
    bench.dm.message(pool.name, "reserve_metadata_snap")
    bench.dm.remove(thin.name)
    bench.dm.message(pool.name, "delete 0")
    assert bench.pool_status(pool).used_data == 4
    bench.dm.message(pool.name, "release_metadata_snap")
    assert bench.pool_status(pool).used_data == 0


def check_metadata_lasts(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    thin = bench.thin(pool, 3)
    bench.hands.write(thin.number, 8, 8)
    bench.dm.message(pool.name, "set_transaction_id 0 4")
    bench.dm.remove(thin.name)
    bench.dm.remove(pool.name)
    pool = bench.make(bench.pool_line())
    status = bench.pool_status(pool)
    assert (status.transaction_id, status.used_data, status.total_data) == (4, 1, 64)
    assert bench.text(bench.make(bench.thin_line(pool, 3)).name) == f"{BLOCK} {BLOCK - 1}"


def check_messages_to_a_suspended_pool(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    bench.dm.suspend(pool.name)
    bench.dm.message(pool.name, "create_thin 1")
    bench.refused(errno.EEXIST, bench.dm.message, pool.name, "create_thin 1")
    bench.dm.message(pool.name, "set_transaction_id 0 1")
    assert bench.pool_status(pool).transaction_id == 1
    bench.dm.resume(pool.name)
    bench.make(bench.thin_line(pool, 1))


def check_read_only_pool(bench: Bench) -> None:
    line = bench.pool_line(features="1 read_only")
    bench.refused(errno.EPERM, bench.dm.load, bench.create(), [line])
    bench.dm.remove(bench.make(bench.pool_line()).name)
    pool = bench.make(line)
    assert bench.pool_status(pool).mode == "ro"
    assert bench.dm.info(pool.name).event_nr == 1
    bench.refused(errno.EOPNOTSUPP, bench.dm.message, pool.name, "create_thin 0")


def check_wrong_metadata(bench: Bench) -> None:
    bench.hands.write(bench.disks[0], 0, 8)
    bench.refused(errno.ENOTBLK, bench.dm.load, bench.create(), [bench.pool_line()])


def check_thin(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    thin = bench.thin(pool, 1)
    assert bench.dm.table(thin.name) == [bench.thin_line(pool, 1)]
    assert bench.dm.deps(thin.name) == [pool.number]
    assert bench.text(thin.name) == "0 -"
    assert bench.dm.info(pool.name).open_count == 1
    bench.refused(errno.EBUSY, bench.dm.remove, pool.name)
    bench.refused(errno.EINVAL, bench.dm.message, thin.name, "create_thin 2")


def check_thin_refused(bench: Bench) -> None:
    pool, name = bench.make(bench.pool_line()), bench.create()
    bench.dm.message(pool.name, "create_thin 1")
    for params, number in (
        (f"{pool.number}", errno.EINVAL),
        (f"{pool.number} 1 {bench.disks[2]} 0", errno.EINVAL),
        (f"{pool.number} x", errno.EINVAL),
        (f"{pool.number} {1 << 24}", errno.EINVAL),
        (f"{pool.number} 2", errno.ENODATA),
        (f"{pool.number} 1 {pool.number}", errno.EINVAL),
        (f"{bench.disks[2]} 1", errno.EINVAL),
        ("4095:9 1", errno.ENXIO),
    ):
        try:
            bench.refused(number, bench.dm.load, name, [TableLine(0, 8, "thin", params)])
        except AssertionError as error:
            raise AssertionError(f"{params}: {error}") from error


def check_thin_wants_a_running_pool(bench: Bench) -> None:
    name = bench.create()
    number = bench.dm.load(name, [bench.pool_line()]).number
    bench.refused(errno.ENODATA, bench.dm.load, bench.create(), [TableLine(0, 8, "thin", f"{number} 1")])
    pool = bench.dm.resume(name)
    bench.dm.message(name, "create_thin 1")
    bench.dm.suspend(name)
    bench.refused(errno.EINVAL, bench.dm.load, bench.create(), [bench.thin_line(pool, 1)])
    bench.dm.resume(name)
    bench.make(bench.thin_line(pool, 1))


def check_thin_may_be_larger_than_its_pool(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    thin = bench.thin(pool, 1, length=1 << 40)
    assert bench.dm.table(thin.name)[0].length == 1 << 40


def check_active_thin_cannot_be_deleted(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    bench.dm.message(pool.name, "create_thin 1")
    name = bench.create()
    bench.dm.load(name, [bench.thin_line(pool, 1)])
    bench.refused(errno.EBUSY, bench.dm.message, pool.name, "delete 1")
    bench.dm.clear(name)
    bench.dm.message(pool.name, "delete 1")


def check_one_thin_twice(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    first = bench.thin(pool, 1)
    second = bench.make(bench.thin_line(pool, 1))
    bench.hands.write(first.number, 0, 8)
    assert bench.text(second.name) == bench.text(first.name)


def check_writes_take_blocks(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    thin = bench.thin(pool, 1)
    bench.hands.write(thin.number, 3 * BLOCK + 8, 8)
    assert ThinStatus.parse(bench.text(thin.name)) == ThinStatus(BLOCK, 4 * BLOCK - 1)
    bench.hands.write(thin.number, 3 * BLOCK, BLOCK)
    bench.hands.write(thin.number, BLOCK - 8, 16)
    assert ThinStatus.parse(bench.text(thin.name)) == ThinStatus(3 * BLOCK, 4 * BLOCK - 1)
    assert bench.pool_status(pool).used_data == 3


def check_snapshots_share_blocks(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    thin = bench.thin(pool, 1)
    bench.hands.write(thin.number, 0, 4 * BLOCK)
    bench.dm.suspend(thin.name)
    bench.dm.message(pool.name, "create_snap 2 1")
    bench.dm.resume(thin.name)
    snap = bench.make(bench.thin_line(pool, 2))
    assert bench.text(snap.name) == f"{4 * BLOCK} {4 * BLOCK - 1}"
    assert bench.pool_status(pool).used_data == 4
    bench.hands.write(thin.number, 0, 8)
    assert bench.pool_status(pool).used_data == 5
    bench.hands.write(snap.number, 0, 8)
    assert bench.pool_status(pool).used_data == 5, "the last block that was shared is copied, and let go"
    bench.hands.write(thin.number, 0, 8)
    assert bench.pool_status(pool).used_data == 5
    bench.dm.remove(snap.name)
    bench.dm.message(pool.name, "delete 2")
    assert bench.pool_status(pool).used_data == 4


def check_low_water_event(bench: Bench) -> None:
    pool = bench.make(bench.pool_line(length=8 * BLOCK, low_water=4))
    thin = bench.thin(pool, 1)
    bench.hands.write(thin.number, 0, 4 * BLOCK)
    assert bench.dm.info(pool.name).event_nr == 0
    bench.hands.write(thin.number, 4 * BLOCK, BLOCK)
    assert bench.dm.info(pool.name).event_nr == 1
    bench.hands.write(thin.number, 5 * BLOCK, BLOCK)
    assert bench.dm.info(pool.name).event_nr == 1


def check_full_pool(bench: Bench) -> None:
    line = bench.pool_line(length=4 * BLOCK, features="1 error_if_no_space")
    pool = bench.make(line)
    thin = bench.thin(pool, 1)
    bench.hands.write(thin.number, 0, 4 * BLOCK)
    assert bench.pool_status(pool).mode == "rw"
    bench.refused(errno.ENOSPC, bench.hands.write, thin.number, 4 * BLOCK, 8)
    assert bench.pool_status(pool).mode == "out_of_data_space"
    bench.dm.message(pool.name, "create_thin 2")
    grown = TableLine(0, 8 * BLOCK, line.target, line.params)
    bench.dm.load(pool.name, [grown])
    bench.dm.resume(pool.name)
    assert bench.pool_status(pool).mode == "rw"
    bench.hands.write(thin.number, 4 * BLOCK, 8)
    assert bench.pool_status(pool).used_data == 5


def check_deletion_makes_room(bench: Bench) -> None:
    pool = bench.make(bench.pool_line(length=2 * BLOCK, features="1 error_if_no_space"))
    thin, other = bench.thin(pool, 1), bench.thin(pool, 2)
    bench.hands.write(thin.number, 0, 2 * BLOCK)
    bench.refused(errno.ENOSPC, bench.hands.write, other.number, 0, 8)
    events = bench.dm.info(pool.name).event_nr
    bench.dm.remove(thin.name)
    bench.dm.message(pool.name, "delete 1")
    assert bench.pool_status(pool).mode == "rw"
    assert bench.dm.info(pool.name).event_nr == events + 1
    bench.hands.write(other.number, 0, 8)


def check_external_origin(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    origin = bench.make(bench.linear(2))
    bench.dm.message(pool.name, "create_thin 1")
    line = TableLine(0, 32 * BLOCK, "thin", f"{pool.number} 1 {origin.number}")
    thin = bench.make(line)
    assert bench.dm.table(thin.name) == [line]
    assert bench.dm.deps(thin.name) == [pool.number, origin.number]
    assert bench.dm.info(origin.name).open_count == 1


def check_pool_suspends_its_thins(bench: Bench) -> None:
    pool = bench.make(bench.pool_line())
    thin = bench.thin(pool, 1)
    bench.dm.suspend(pool.name)
    assert not bench.dm.info(thin.name).suspended, "the user has not suspended it"
    bench.dm.resume(pool.name)
    bench.hands.write(thin.number, 0, 8)
    bench.dm.suspend(pool.name)
    bench.dm.remove(thin.name)
    bench.dm.resume(pool.name)
    bench.dm.message(pool.name, "delete 1")
