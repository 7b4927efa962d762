# ruff: noqa: D103, PT018  a check is named by what it checks, and asserts one thing in parts
"""Checks of the calls: devices, names, tables, states, counters. Any target that just maps will do."""

from __future__ import annotations

import errno

from drystone.kernel.dm.abc import DeviceNumber, TableLine, Uuid
from drystone.kernel.dm.io_statistics import (
    Region,
    create_message,
    delete_message,
    list_message,
    parse_counts,
    parse_list,
    print_message,
)
from drystone.testing.device_mapper.bench import DISK_SECTORS, Bench


def check_version(bench: Bench) -> None:
    assert bench.dm.version() >= (4, 0, 0)


def check_target_versions(bench: Bench) -> None:
    bench.make(TableLine(0, 8, "zero"))
    found = {each.name: each.version for each in bench.dm.target_versions()}
    assert {"linear", "striped", "error", "zero"} <= found.keys()
    assert all(len(version) == 3 for version in found.values())


def check_create(bench: Bench) -> None:
    name, uuid = bench.name(), bench.prefix + "u"
    info = bench.dm.create(name, uuid)
    assert (info.name, info.uuid, info.event_nr, info.open_count, info.target_count) == (name, uuid, 0, 0, 0)
    assert not (info.suspended or info.read_only or info.live_table or info.inactive_table or info.deferred_remove)
    assert bench.dm.info(name) == info


def check_create_twice(bench: Bench) -> None:
    name = bench.create("u")
    bench.refused(errno.EBUSY, bench.dm.create, name)
    other = bench.name()
    bench.refused(errno.EBUSY, bench.dm.create, other, bench.prefix + "u")
    bench.refused(errno.ENXIO, bench.dm.info, other)


def check_create_with_minor(bench: Bench) -> None:
    name = bench.name()
    info = bench.dm.create(name, minor=77)
    assert info.number.minor == 77
    bench.refused(errno.ENXIO, bench.dm.create, bench.name(), minor=77)
    bench.dm.remove(name)
    assert bench.dm.create(bench.name(), minor=77).number.minor == 77


def check_create_takes_the_lowest_minor(bench: Bench) -> None:
    first, second = (bench.dm.info(bench.create()).number.minor for _ in range(2))
    assert first < second
    bench.dm.remove(DeviceNumber(bench.dm.list_devices()[0].number.major, first))
    assert bench.dm.info(bench.create()).number.minor == first


def check_bad_names(bench: Bench) -> None:
    for name in ("", "a/b", "n" * 128):
        bench.refused(errno.EINVAL, bench.dm.create, name)
    bench.refused(errno.EINVAL, bench.dm.create, bench.name(), "u" * 129)
    longest = (bench.prefix + "n" * 127)[:127]
    assert bench.dm.create(longest).name == longest


def check_unknown_device(bench: Bench) -> None:
    dm, name = bench.dm, bench.prefix + "new"
    for ref in (bench.prefix + "none", Uuid(bench.prefix + "none"), DeviceNumber(1000, 5)):
        for call in (dm.info, dm.remove, dm.suspend, dm.resume, dm.clear, dm.table, dm.status, dm.deps):
            bench.refused(errno.ENXIO, call, ref)
        bench.refused(errno.ENXIO, dm.load, ref, [TableLine(0, 8, "zero")])
        bench.refused(errno.ENXIO, dm.message, ref, "x")
        bench.refused(errno.ENXIO, dm.wait, ref, 0)
        bench.refused(errno.ENXIO, dm.rename, ref, name)
        bench.refused(errno.ENXIO, dm.set_uuid, ref, name)


def check_references(bench: Bench) -> None:
    name = bench.create("u")
    info = bench.dm.info(name)
    assert bench.dm.info(Uuid(bench.prefix + "u")) == info == bench.dm.info(info.number)


def check_list(bench: Bench) -> None:
    names = [bench.dm.create(bench.prefix + text, bench.prefix + text).name for text in ("b", "B", "a", "b-")]
    found = [each for each in bench.dm.list_devices() if each.name in names]
    assert [each.name for each in found] == sorted(names)
    assert all(each.uuid == each.name and each.number == bench.dm.info(each.name).number for each in found)


def check_remove(bench: Bench) -> None:
    name = bench.make(bench.linear()).name
    bench.dm.load(name, [bench.linear(1)])
    bench.dm.remove(name)
    bench.refused(errno.ENXIO, bench.dm.info, name)
    assert bench.dm.create(name).name == name


def check_remove_suspended(bench: Bench) -> None:
    name = bench.make(bench.linear()).name
    bench.dm.suspend(name)
    bench.dm.remove(name)
    bench.refused(errno.ENXIO, bench.dm.info, name)


def check_remove_open(bench: Bench) -> None:
    info = bench.make(bench.linear())
    with bench.hands.hold(info.number):
        assert bench.dm.info(info.name).open_count == 1
        bench.refused(errno.EBUSY, bench.dm.remove, info.name)
    assert bench.dm.info(info.name).open_count == 0
    bench.dm.remove(info.name)


def check_remove_used(bench: Bench) -> None:
    below = bench.make(bench.linear())
    above = bench.make(TableLine(0, 8, "linear", f"{below.number} 0"))
    assert bench.dm.info(below.name).open_count == 1
    bench.refused(errno.EBUSY, bench.dm.remove, below.name)
    bench.dm.remove(above.name)
    bench.dm.remove(below.name)


def check_remove_deferred(bench: Bench) -> None:
    below = bench.make(bench.linear())
    above = bench.make(TableLine(0, 8, "linear", f"{below.number} 0"))
    bench.dm.remove(below.name, deferred=True)
    assert bench.dm.info(below.name).deferred_remove
    bench.dm.message(below.name, "@cancel_deferred_remove")
    assert not bench.dm.info(below.name).deferred_remove
    bench.dm.remove(below.name, deferred=True)
    bench.refused(errno.EBUSY, bench.dm.remove, below.name)
    bench.dm.remove(above.name, deferred=True)
    assert not bench.is_there(above.name)
    bench.soon(lambda: not bench.is_there(below.name))


def check_rename(bench: Bench) -> None:
    info, name = bench.make(bench.linear()), bench.name()
    bench.dm.rename(info.name, name)
    renamed = bench.dm.info(name)
    assert (renamed.number, renamed.event_nr) == (info.number, info.event_nr + 1)
    bench.refused(errno.ENXIO, bench.dm.info, info.name)


def check_rename_refused(bench: Bench) -> None:
    name, other = bench.create(), bench.create()
    bench.refused(errno.EBUSY, bench.dm.rename, name, other)
    bench.refused(errno.EBUSY, bench.dm.rename, name, name)
    bench.refused(errno.EBUSY, bench.dm.rename, bench.prefix + "none", other)
    for bad in ("", "a/b", "n" * 128):
        bench.refused(errno.EINVAL, bench.dm.rename, name, bad)
    assert bench.dm.info(name).event_nr == 0


def check_set_uuid(bench: Bench) -> None:
    name = bench.create()
    bench.dm.set_uuid(name, bench.prefix + "u")
    assert bench.dm.info(Uuid(bench.prefix + "u")).name == name
    bench.refused(errno.EINVAL, bench.dm.set_uuid, name, bench.prefix + "v")
    bench.refused(errno.EBUSY, bench.dm.set_uuid, bench.create(), bench.prefix + "u")
    bench.refused(errno.EINVAL, bench.dm.set_uuid, bench.create(), "")


def check_load_is_inactive(bench: Bench) -> None:
    name, line = bench.create(), bench.linear()
    info = bench.dm.load(name, [line])
    assert (info.inactive_table, info.live_table, info.target_count) == (True, False, 0)
    assert (bench.dm.table(name), bench.dm.table(name, inactive=True)) == ([], [line])
    assert (bench.dm.status(name), bench.dm.deps(name)) == ([], [])
    assert bench.dm.deps(name, inactive=True) == [bench.disks[0]]
    info = bench.dm.resume(name)
    assert (info.inactive_table, info.live_table, info.target_count) == (False, True, 1)
    assert (bench.dm.table(name), bench.dm.table(name, inactive=True)) == ([line], [])


def check_load_replaces(bench: Bench) -> None:
    info = bench.make(bench.linear(0))
    bench.dm.load(info.name, [bench.linear(1)])
    bench.dm.load(info.name, [bench.linear(2)])
    assert bench.dm.deps(info.name, inactive=True) == [bench.disks[2]]
    assert bench.dm.deps(info.name) == [bench.disks[0]]
    assert not bench.dm.resume(info.name).inactive_table
    assert bench.dm.table(info.name) == [bench.linear(2)]


def check_clear(bench: Bench) -> None:
    below = bench.make(bench.linear())
    name = bench.make(bench.linear(1)).name
    bench.dm.load(name, [TableLine(0, 8, "linear", f"{below.number} 0")])
    assert bench.dm.info(below.name).open_count == 1
    assert not bench.dm.clear(name).inactive_table
    assert bench.dm.info(below.name).open_count == 0
    assert not bench.dm.clear(name).inactive_table


def check_load_refused(bench: Bench) -> None:
    name, disk = bench.create(), bench.disks[0]
    tables = {
        "nothing": [],
        "a gap": [TableLine(0, 8, "zero"), TableLine(16, 8, "zero")],
        "no beginning": [TableLine(8, 8, "zero")],
        "overlap": [TableLine(0, 8, "zero"), TableLine(4, 8, "zero")],
        "no length": [TableLine(0, 0, "zero")],
        "too long": [TableLine(0, 1 << 54, "zero")],
        "unknown": [TableLine(0, 8, "nonesuch")],
        "zero with a word": [TableLine(0, 8, "zero", "1")],
        "too few words": [TableLine(0, 8, "linear", f"{disk}")],
        "too many words": [TableLine(0, 8, "linear", f"{disk} 0 0")],
        "no number": [TableLine(0, 8, "linear", f"{disk} 0x")],
        "past the end": [TableLine(0, 8, "linear", f"{disk} {DISK_SECTORS - 4}")],
    }
    for what, table in tables.items():
        try:
            bench.refused(errno.EINVAL, bench.dm.load, name, table)
        except AssertionError as error:
            raise AssertionError(f"{what}: {error}") from error
    info = bench.dm.info(name)
    assert not (info.inactive_table or info.live_table)


def check_load_missing_device(bench: Bench) -> None:
    name = bench.create()
    bench.refused(errno.ENODEV, bench.dm.load, name, [TableLine(0, 8, "linear", "/dev/nonesuch 0")])
    bench.refused(errno.ENXIO, bench.dm.load, name, [TableLine(0, 8, "linear", "4095:3 0")])
    bench.refused(errno.EOVERFLOW, bench.dm.load, name, [TableLine(0, 8, "linear", "5000:3 0")])
    empty = bench.dm.info(bench.create())
    bench.refused(errno.ENXIO, bench.dm.load, name, [TableLine(0, 8, "linear", f"{empty.number} 0")])


def check_load_failure_keeps_the_inactive_table(bench: Bench) -> None:
    name, line = bench.create(), bench.linear()
    bench.dm.load(name, [line])
    bench.refused(errno.EINVAL, bench.dm.load, name, [TableLine(0, 8, "nonesuch")])
    assert bench.dm.table(name, inactive=True) == [line]


def check_load_claimed(bench: Bench) -> None:
    name = bench.create()
    with bench.hands.hold(bench.disks[0], exclusive=True):
        bench.refused(errno.EBUSY, bench.dm.load, name, [bench.linear()])
    bench.dm.load(name, [bench.linear()])


def check_load_own_device(bench: Bench) -> None:
    info = bench.make(bench.linear())
    assert bench.dm.load(info.name, [TableLine(0, 8, "linear", f"{info.number} 0")]).open_count == 1
    bench.refused(errno.EBUSY, bench.dm.remove, info.name)
    bench.dm.clear(info.name)
    assert bench.dm.info(info.name).open_count == 0


def check_first_load_on_a_device_without_size(bench: Bench) -> None:
    below = bench.create()
    number = bench.dm.load(below, [bench.linear()]).number
    above = bench.create()
    bench.dm.load(above, [TableLine(0, 1 << 20, "linear", f"{number} 0")])
    bench.dm.resume(below)
    bench.refused(errno.EINVAL, bench.dm.resume, above)
    info = bench.dm.info(above)
    assert (info.suspended, info.live_table, info.inactive_table) == (True, False, False)


def check_later_loads_are_measured_at_resume(bench: Bench) -> None:
    line = bench.linear()
    name = bench.make(line).name
    bench.dm.load(name, [bench.linear(length=DISK_SECTORS + 8)])
    bench.refused(errno.EINVAL, bench.dm.resume, name)
    info = bench.dm.info(name)
    assert (info.suspended, info.live_table, info.inactive_table) == (True, True, False)
    assert bench.dm.table(name) == [line]
    assert not bench.dm.resume(name).suspended


def check_read_only(bench: Bench) -> None:
    name = bench.create()
    bench.dm.load(name, [bench.linear()], read_only=True)
    assert not bench.dm.info(name).read_only
    assert bench.dm.resume(name).read_only
    bench.dm.load(name, [bench.linear()])
    assert bench.dm.info(name).read_only
    assert not bench.dm.resume(name).read_only


def check_suspend(bench: Bench) -> None:
    info = bench.make(bench.linear())
    assert bench.dm.suspend(info.name).suspended
    assert bench.dm.suspend(info.name).suspended
    assert bench.dm.info(info.name).suspended
    assert not bench.dm.resume(info.name).suspended
    assert not bench.dm.resume(info.name).suspended
    assert bench.dm.suspend(info.name, no_flush=True, lock_fs=False).suspended
    assert bench.dm.info(info.name).event_nr == info.event_nr


def check_suspend_without_a_table(bench: Bench) -> None:
    name = bench.create()
    assert not bench.dm.resume(name).suspended
    assert bench.dm.suspend(name).suspended
    bench.refused(errno.EINVAL, bench.dm.resume, name)
    assert bench.dm.info(name).suspended
    bench.dm.load(name, [bench.linear()])
    assert not bench.dm.resume(name).suspended


def check_suspended_load_and_resume(bench: Bench) -> None:
    name = bench.make(bench.linear(0)).name
    bench.dm.suspend(name)
    assert bench.dm.load(name, [bench.linear(1)]).suspended
    assert bench.dm.deps(name) == [bench.disks[0]]
    assert not bench.dm.resume(name).suspended
    assert bench.dm.deps(name) == [bench.disks[1]]


def check_open_counts(bench: Bench) -> None:
    below = bench.make(bench.linear())
    line = TableLine(0, 8, "linear", f"{below.number} 0")
    above = bench.make(line, TableLine(8, 8, "linear", f"{below.number} 8"))

    def count() -> int:
        return bench.dm.info(below.name).open_count

    assert count() == 1, "once for a table, however often it names the device"
    bench.dm.load(above.name, [line])
    assert count() == 1, "the inactive table shares the open of the live one"
    reader = bench.create()
    bench.dm.load(reader, [line], read_only=True)
    assert count() == 2
    bench.dm.load(reader, [line])
    assert count() == 2
    bench.dm.remove(reader)
    bench.dm.remove(above.name)
    assert count() == 0


def check_two_modes_are_two_opens(bench: Bench) -> None:
    below = bench.make(bench.linear())
    line = TableLine(0, 8, "linear", f"{below.number} 0")
    above = bench.make(line)
    bench.dm.load(above.name, [line], read_only=True)
    assert bench.dm.info(below.name).open_count == 2
    bench.dm.clear(above.name)
    assert bench.dm.info(below.name).open_count == 1


def check_look(bench: Bench) -> None:
    dm = bench.dm
    made = dm.create(bench.name())
    assert dm.look(made.number) == (dm.info(made.number), [])
    dm.load(made.number, [TableLine(0, 8, "zero"), TableLine(8, 8, "error")])
    dm.resume(made.number)
    assert dm.look(made.number) == (dm.info(made.number), dm.table(made.number))
    assert len(dm.look(made.number)[1]) == 2
    dm.suspend(made.number)
    assert dm.look(made.number)[0].suspended
    assert dm.look(made.number) == (dm.info(made.number), dm.table(made.number))


def check_deps(bench: Bench) -> None:
    lines = [bench.linear(disk, 8) for disk in (2, 0, 1, 0)]
    table = [TableLine(at * 8, 8, line.target, line.params) for at, line in enumerate(lines)]
    name = bench.make(*table).name
    assert bench.dm.deps(name) == [bench.disks[1], bench.disks[0], bench.disks[2]], "the last one found comes first"
    assert bench.dm.table(name) == table


def check_several_targets(bench: Bench) -> None:
    table = [TableLine(0, 8, "zero"), TableLine(8, 24, "error"), TableLine(32, 8, "linear", f"{bench.disks[0]} 16")]
    info = bench.make(*table)
    assert info.target_count == 3
    assert bench.dm.table(info.name) == table
    assert [(each.start, each.length, each.target) for each in bench.dm.status(info.name)] == [
        (line.start, line.length, line.target) for line in table
    ]
    assert {each.text for each in bench.dm.status(info.name)} == {""}


def check_messages_refused(bench: Bench) -> None:
    info = bench.make(bench.linear(length=8), TableLine(8, 8, "zero"))
    for text in ("", "   ", "hello", "@nonesuch"):
        bench.refused(errno.EINVAL, bench.dm.message, info.name, text)
    bench.refused(errno.EINVAL, bench.dm.message, info.name, "hello", sector=8)
    bench.refused(errno.EINVAL, bench.dm.message, info.name, "hello", sector=16)


def check_message_without_a_table(bench: Bench) -> None:
    info = bench.dm.create(bench.name())
    bench.refused(errno.EINVAL, bench.dm.message, info.name, "hello")


def check_statistics(bench: Bench) -> None:
    """Regions are numbered, found by their program, outlive a table, and go one by one."""
    info = bench.make(bench.linear())
    assert bench.dm.message(info.name, list_message("drystone")) == ""
    first = bench.dm.message(info.name, create_message(2048, (0.001, 0.1), "drystone"))
    second = bench.dm.message(info.name, create_message(8, (1.0,), "other"))
    assert (first, second) == ("0", "1")
    assert parse_list(bench.dm.message(info.name, list_message("drystone"))) == [Region(0, 0, 2048, "drystone")]
    assert [each.number for each in parse_list(bench.dm.message(info.name, "@stats_list"))] == [0, 1]
    counts = parse_counts(bench.dm.message(info.name, print_message(0)))
    assert (counts.writes, counts.in_flight, len(counts.slower)) == (0, 0, 3)
    bench.dm.load(info.name, [bench.linear(offset=2048)])
    bench.dm.resume(info.name)
    assert bench.dm.message(info.name, delete_message(0)) == ""
    assert [each.number for each in parse_list(bench.dm.message(info.name, "@stats_list"))] == [1]


def check_statistics_refused(bench: Bench) -> None:
    info = bench.make(bench.linear())
    for words in ("", " 0+8", " x+8 /1", " 0+8 /1 1 nonesuch", " 0+8 /1 1 histogram:2,1"):
        bench.refused(errno.EINVAL, bench.dm.message, info.name, f"@stats_create{words}")
    for text in ("@stats_print", "@stats_print x", "@stats_delete"):
        bench.refused(errno.EINVAL, bench.dm.message, info.name, text)
    for text in (print_message(0), delete_message(0)):
        bench.refused(errno.ENOENT, bench.dm.message, info.name, text)


def check_wait_for_what_happened(bench: Bench) -> None:
    info = bench.make(bench.linear())
    name = bench.name()
    bench.dm.rename(info.name, name)
    assert bench.dm.wait(name, info.event_nr).event_nr == info.event_nr + 1


def check_events(bench: Bench) -> None:
    name, second = bench.create(), bench.name()
    bench.dm.rename(name, second)
    assert bench.dm.info(second).event_nr == 0, "without a live table nothing is counted"
    bench.dm.load(second, [bench.linear()])
    bench.dm.resume(second)
    bench.dm.set_uuid(second, bench.prefix + "u")
    assert bench.dm.info(second).event_nr == 1
    (entry,) = [each for each in bench.dm.list_devices() if each.name == second]
    assert entry.event_nr == 1


def check_words_are_split_by_any_blank(bench: Bench) -> None:
    name = bench.make(TableLine(0, 8, "linear", f"  {bench.disks[0]}\t 16 ")).name
    assert bench.dm.table(name) == [bench.linear(0, 8, 16)]
