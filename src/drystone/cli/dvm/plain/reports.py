"""What `dvm report` and `dvm show` do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from drystone.base.errors import UsageError
from drystone.base.sizes import format_size
from drystone.cli.dvm.documents import print_document
from drystone.cli.dvm.plain.groups import open_mapper, read_metadata
from drystone.cli.dvm.plain.mutators import read_group
from drystone.cli.input import name_input, read_input
from drystone.cli.output import print_line, print_table

if TYPE_CHECKING:
    from drystone.dvm.groups.group import Group
    from drystone.dvm.reports.live import Live
    from drystone.dvm.reports.rows import Report
    from drystone.kernel.dm.abc import DeviceMapper

KINDS = ("vgs", "pvs", "lvs", "segments")
_COLUMNS = {
    "vgs": ("name", "devices", "missing", "volumes", "size", "free"),
    "pvs": ("path", "group", "size", "free", "allocatable", "missing", "tags"),
    "lvs": ("name", "group", "kind", "size", "pool", "origin", "devices", "missing", "moving", "tags"),
    "segments": ("volume", "kind", "start", "size", "legs", "on", "to"),
}
_LIVE = ("active", "open", "data_percent", "metadata_percent", "copy_percent", "health")
_SIZES = frozenset({"size", "free", "start"})


def report(
    file: str,
    kinds: tuple[str, ...],
    found: str | None,
    state: str | None,
    *,
    ask: bool,
    parts: bool,
    text: bool,
    lvm_json: bool,
    look: Callable[[Group], Live] | None = None,
) -> None:
    """Report on the group in `file`. :param look: asks device-mapper; the kernel's when None."""
    check_kinds(kinds, with_state=state is not None, ask=ask, text=text, lvm_json=lvm_json)
    group = read_group(file)
    live = read_live(state) if state is not None else None
    if live is None and (ask or kinds == ("live",)):
        live = (look or _look)(group)
    print_report(group, kinds, live, paths=paths_of(group, found), parts=parts, text=text, lvm_json=lvm_json)


def show(
    group: str,
    kinds: tuple[str, ...],
    file: str | None,
    paths: tuple[str, ...],
    *,
    ask: bool,
    parts: bool,
    text: bool,
    lvm_json: bool,
    look: Callable[[Group], Live] | None = None,
) -> None:
    """Report on a group as its devices have it now: `transact read` and `report` in one process.

    :param look: asks device-mapper; the kernel's when None.
    """
    from drystone.dvm.groups.rules import parse_group

    check_kinds(kinds, with_state=False, ask=ask, text=text, lvm_json=lvm_json)
    parsed = parse_group(read_metadata(group, file, paths), f"the metadata of {group}")
    live = (look or _look)(parsed) if ask or kinds == ("live",) else None
    print_report(parsed, kinds, live, paths=paths_of(parsed, None), parts=parts, text=text, lvm_json=lvm_json)


def check_kinds(kinds: tuple[str, ...], *, with_state: bool, ask: bool, text: bool, lvm_json: bool) -> None:
    """:raises UsageError: an unknown kind, or options that exclude each other."""
    if unknown := [each for each in kinds if each not in (*KINDS, "live")]:
        raise UsageError(f"there is no report {unknown[0]!r}", hint=f"one of {', '.join(KINDS)}, live")
    if (ask and with_state) or (text and lvm_json) or ("live" in kinds and len(kinds) > 1):
        raise UsageError("--live excludes --state, --text --lvm-json, and the report live all others")


def print_report(
    group: Group,
    kinds: tuple[str, ...],
    live: Live | None,
    *,
    paths: dict[str, str],
    parts: bool,
    text: bool,
    lvm_json: bool,
) -> None:
    """The report in the form that was asked for.

    :param paths: device uuid -> path.
    """
    if kinds == ("live",):
        print_document(live)
        return
    from drystone.dvm.reports.report import Subject
    from drystone.dvm.reports.report import report as make

    result = make(Subject(group, paths, live, parts), kinds or KINDS)
    if lvm_json:
        from drystone.dvm.reports.lvm_report import lvm_report

        print_document(lvm_report(result))
    elif text:
        _print_tables(result, with_live=live is not None)
    else:
        print_document(result)


def paths_of(group: Group, file: str | None) -> dict[str, str]:
    """Device uuid -> path: as was found, or, without that, as the group's hints say."""
    if file is None:
        return {device.uuid: device.path for device in group.devices if device.path}
    from drystone.dvm.discovery.devices import parse_devices

    return {device.uuid: device.path for device in parse_devices(read_input(file), name_input(file)).present}


def read_live(file: str) -> Live:
    """What device-mapper said, from a document."""
    from drystone.dvm.reports.live import parse_live

    return parse_live(read_input(file), name_input(file))


def look_by(dm: DeviceMapper, group: Group) -> Live:
    """What device-mapper says of the group's devices."""
    from drystone.dvm.reports.live import observe

    return observe(dm, group)


def _look(group: Group) -> Live:
    with open_mapper() as dm:
        return look_by(dm, group)


def _print_tables(result: Report, *, with_live: bool) -> None:
    at = 0
    for kind in KINDS:
        rows = getattr(result, kind)
        if rows is None:
            continue
        columns = _COLUMNS[kind]
        live = _LIVE if kind == "lvs" and with_live else ()
        cells = [
            [
                *(_cell(name, getattr(row, name)) for name in columns),
                *(_cell(name, getattr(row.live, name)) for name in live),
            ]
            for row in rows
        ]
        if at:
            print_line("")
        print_table([name.replace("_percent", "%") for name in (*columns, *live)], cells)
        at += 1


def _cell(name: str, value: object) -> str:
    if value is None or value is False or value == ():
        return ""
    if value is True:
        return "yes"
    if name in _SIZES and isinstance(value, int):
        return format_size(value)
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value)
