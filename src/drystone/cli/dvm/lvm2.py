"""`dvm lvm2`: LVM2's volume groups, read only."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.tool import Tool, errors_as_json, print_document
from drystone.cli.output import HELP, Function, print_table, tell
from drystone.cli.programs import device_mapper

if TYPE_CHECKING:
    from drystone.dvm.lvm2.assembly import Assembled, Found
    from drystone.dvm.lvm2.groups_document import GroupEntry
    from drystone.dvm.lvm2.scan_document import ScanDocument
    from drystone.dvm.lvm2.survey import Surveyed
    from drystone.dvm.lvm2.texts_document import TextsDocument
    from drystone.kernel.ranges import RangeDevice

_CHECKSUM = re.compile(r"[0-9a-fA-F]{1,8}")


class Checksum(click.ParamType[int]):
    """A text's checksum in hexadecimal, as `dvm lvm2 rescue` prints it."""

    name = "checksum"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        if _CHECKSUM.fullmatch(value) is None:
            self.fail(f"{value!r} is no checksum of up to 8 hexadecimal digits", param, ctx)
        return int(value, 16)


class Lvm2Tool(Tool):
    """A tool of this group: its complaints point to the group's own page."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except UsageError as error:
            hint = error.hint.replace("docs/reference/programs.md", "docs/reference/lvm2.md")
            hint = hint.replace(f"dvm {self.name} --help", f"dvm lvm2 {self.name} --help")
            raise UsageError(error.message, hint=hint, **error.facts) from error


devices_argument = click.argument("devices", nargs=-1, required=True, metavar="DEVICE...")
group_option = click.option("--group", metavar="GROUP", help="Which group: its name, UUID, or the beginning of one.")
text_option = click.option("--text", is_flag=True, help="A table for people instead of JSON.")


def text_options(function: Function) -> Function:
    """The options that choose a text among those that are still there."""
    chosen = click.option("--seqno", type=click.IntRange(0), help="An older text: the one with this number.")(function)
    return click.option("--checksum", type=Checksum(), help="An older text: the one with this checksum.")(chosen)


def place_option(function: Function) -> Function:
    """The option that says where a physical volume is whose label is lost."""
    return click.option(
        "--pv", "placed", multiple=True, metavar="UUID=DEVICE", help="Where a device is whose label is lost."
    )(function)


@click.group(context_settings=HELP)
def lvm2() -> None:
    """LVM2's volume groups: what is there, tables for it, and older texts. Nothing is written.

    Devices are block devices or plain files. docs/reference/lvm2.md describes what is read.

    \b
    Examples:
      dvm lvm2 show /dev/sdb /dev/sdc                    the groups on them
      dvm lvm2 tables --group vg --with-current /dev/sd[bc] | dvm dmactivate | dvm dmexec
      dvm lvm2 rescue /dev/sdb --text                    the texts that are still there
    """


@lvm2.command(cls=Lvm2Tool)
@errors_as_json
@text_option
@devices_argument
def scan(text: bool, devices: tuple[str, ...]) -> None:
    """Print what LVM2 has on each DEVICE: label, metadata areas, the texts that their headers point to.

    \b
    Example:
      dvm lvm2 scan --text /dev/sdb /dev/sdc
    """
    from drystone.dvm.lvm2.scan_document import scan_document
    from drystone.dvm.lvm2.survey import survey

    with _opened(devices) as opened:
        document = scan_document(survey(opened))
    if text:
        _print_scan(document)
    else:
        print_document(document)


@lvm2.command(cls=Lvm2Tool)
@errors_as_json
@text_option
@group_option
@text_options
@place_option
@devices_argument
def show(
    text: bool,
    group: str | None,
    seqno: int | None,
    checksum: int | None,
    placed: tuple[str, ...],
    devices: tuple[str, ...],
) -> None:
    """Print the groups on DEVICES, with their devices, volumes and segments.

    With --seqno or --checksum the group is shown as an older text has it.

    \b
    Example:
      dvm lvm2 show --text /dev/sdb /dev/sdc
    """
    from drystone.dvm.lvm2.assembly import list_problems, pick_group, require_some
    from drystone.dvm.lvm2.groups_document import groups_document

    groups, surveyed = _groups(devices, placed, group, seqno, checksum)
    require_some(groups, surveyed)
    chosen = groups if group is None else [pick_group(groups, group, surveyed)]
    document = groups_document(chosen, list_problems(surveyed))
    if text:
        for each in document.groups:
            _print_group(each)
    else:
        print_document(document)


@lvm2.command(cls=Lvm2Tool)
@errors_as_json
@group_option
@click.option("--volume", "volumes", multiple=True, metavar="NAME", help="Only this volume; may be repeated.")
@click.option("--with-current", is_flag=True, help="Print the current state of these devices, too: both at once.")
@click.option("--down", is_flag=True, help="As --with-current; what is wanted is the state without these devices.")
@text_options
@place_option
@devices_argument
@click.pass_context
def tables(
    ctx: click.Context,
    group: str | None,
    volumes: tuple[str, ...],
    with_current: bool,
    down: bool,
    seqno: int | None,
    checksum: int | None,
    placed: tuple[str, ...],
    devices: tuple[str, ...],
) -> None:
    """Print the state of device-mapper in which the volumes of a group are active.

    It is what `dvm dmactivate` takes as the desired state; with --with-current it takes all from stdin. Volumes for
    which no table is made (thin, cache, snapshots; a device is missing) are told on stderr; one that was named is an
    error.

    \b
    Examples:
      dvm lvm2 tables --group vg --with-current /dev/sd[bc] | dvm dmactivate --describe
      dvm lvm2 tables --group vg --with-current /dev/sd[bc] | dvm dmactivate | dvm dmexec
      dvm lvm2 tables --group vg --down /dev/sd[bc] | dvm dmactivate | dvm dmexec
    """
    from drystone.dvm.lvm2.assembly import pick_group, require_one_truth
    from drystone.dvm.lvm2.tables import build_tables
    from drystone.dvm.lvm2.tables import with_current as both

    groups, surveyed = _groups(devices, placed, group, seqno, checksum)
    assembled = pick_group(groups, group, surveyed)
    require_one_truth(assembled)
    built = build_tables(assembled, volumes)
    _tell_all("left-out", built.left_out)
    _tell_all("note", built.notes)
    print_document(both(built.state, device_mapper(ctx), down=down) if with_current or down else built.state)


@lvm2.command(cls=Lvm2Tool)
@errors_as_json
@text_option
@click.option("--extract", is_flag=True, help="Print the one text that is meant, as vgcfgrestore takes it.")
@group_option
@text_options
@devices_argument
def rescue(
    text: bool,
    extract: bool,
    group: str | None,
    seqno: int | None,
    checksum: int | None,
    devices: tuple[str, ...],
) -> None:
    """Print every text that is still on DEVICES, the newest first, or one of them.

    They are found as well where LVM2 finds no group: when the newest text, the area's header or the label is damaged.

    \b
    Examples:
      dvm lvm2 rescue /dev/sd[b-e] --text
      dvm lvm2 rescue --seqno 41 --extract /dev/sd[b-e] > vg.txt
      vgcfgrestore -f vg.txt vg
    """
    from drystone.dvm.lvm2.rescue import pick_text, select_texts
    from drystone.dvm.lvm2.rescue import rescue as find
    from drystone.dvm.lvm2.survey import survey
    from drystone.dvm.lvm2.texts_document import texts_document

    with _opened(devices) as opened:
        found = find(opened, survey(opened))
    if extract:
        click.echo(pick_text(found, group, seqno, checksum).data, nl=False)
        return
    document = texts_document(found, select_texts(found.texts, group, seqno, checksum))
    if text:
        _print_texts(document)
    else:
        print_document(document)


@lvm2.command("import", cls=Lvm2Tool)
@errors_as_json
@group_option
@click.option("--leave-out", is_flag=True, help="Go on without volumes that a group document cannot hold.")
@text_options
@place_option
@devices_argument
def import_(
    group: str | None,
    leave_out: bool,
    seqno: int | None,
    checksum: int | None,
    placed: tuple[str, ...],
    devices: tuple[str, ...],
) -> None:
    """Print a group as a group document, which `dvm metadata` and `dvm report` take. The devices stay LVM2's.

    \b
    Example:
      dvm lvm2 import --group vg /dev/sdb /dev/sdc | dvm report --text
    """
    from drystone.dvm.lvm2.assembly import pick_group, require_one_truth
    from drystone.dvm.lvm2.conversion import convert

    groups, surveyed = _groups(devices, placed, group, seqno, checksum)
    assembled = pick_group(groups, group, surveyed)
    require_one_truth(assembled)
    document, left_out = convert(assembled, leave_out=leave_out)
    _tell_all("left-out", left_out)
    print_document(document)


@contextmanager
def _opened(paths: Sequence[str]) -> Iterator[list[RangeDevice]]:
    """The devices, each once, under absolute paths: tables hold no others."""
    from drystone.kernel.ranges import open_ranges

    with ExitStack() as stack:
        found: dict[str, RangeDevice] = {}
        for path in paths:
            same = os.path.realpath(path)
            if same not in found:
                found[same] = stack.enter_context(open_ranges(str(Path(path).absolute())))
        yield list(found.values())


def _groups(
    paths: Sequence[str], placed: Sequence[str], group: str | None, seqno: int | None, checksum: int | None
) -> tuple[Sequence[Assembled], tuple[Surveyed, ...]]:
    """The groups as their newest texts have them; with a number or checksum, the one group of that text."""
    from drystone.dvm.lvm2.assembly import assemble, with_devices
    from drystone.dvm.lvm2.survey import survey

    where = _parse_places(placed)
    with _opened([*paths, *where.values()]) as opened:
        surveyed = survey(opened)
        named = _find_places(where, opened)
        if seqno is None and checksum is None:
            return assemble(surveyed, named), surveyed
        from drystone.dvm.lvm2.rescue import pick_text
        from drystone.dvm.lvm2.rescue import rescue as find

        text = pick_text(find(opened, surveyed), group, seqno, checksum)
        sources = tuple(dict.fromkeys(place.path for place in text.places))
        return (with_devices(text.group, text.data, surveyed, named, sources=sources),), surveyed


def _parse_places(placed: Sequence[str]) -> dict[str, str]:
    from drystone.formats.lvm2.uuid import is_uuid

    found: dict[str, str] = {}
    for word in placed:
        uuid, _, path = word.partition("=")
        if not is_uuid(uuid) or not path:
            raise UsageError(f"{word!r} is not the UUID of a physical volume, =, and a device")
        found[uuid] = path
    return found


def _find_places(where: Mapping[str, str], opened: Sequence[RangeDevice]) -> dict[str, Found]:
    from drystone.dvm.lvm2.assembly import Found

    by_path = {os.path.realpath(device.path): device for device in opened}
    devices = {uuid: by_path[os.path.realpath(path)] for uuid, path in where.items()}
    return {uuid: Found(device.path, device.size) for uuid, device in devices.items()}


def _tell_all(code: str, volumes: Mapping[str, str]) -> None:
    """A line of JSON on stderr for each volume of which something should be known."""
    for name, reason in volumes.items():
        tell(json.dumps({"code": code, "volume": name, "message": reason}, ensure_ascii=False))


def _print_scan(document: ScanDocument) -> None:
    rows: list[tuple[object, ...]] = []
    for device in document.devices:
        uuid = device.physical_volume.uuid if device.physical_volume else "-"
        texts = [area.committed for area in device.areas]
        named = [f"{text.group} {text.seqno}" for text in texts if text is not None and text.group]
        wrong = [device.problem, *(area.problem for area in device.areas)]
        wrong += [text.problem for area in device.areas for text in (area.committed, area.precommitted) if text]
        rows.append(
            (device.path, uuid, len(device.areas), ", ".join(named) or "-", _printable("; ".join(filter(None, wrong))))
        )
    print_table(("device", "uuid", "areas", "text", "problem"), rows)


def _print_group(group: GroupEntry) -> None:
    from drystone.base.sizes import format_size

    click.echo(f"{group.name}  {group.uuid}  seqno {group.seqno}  {_printable(group.description)}")
    for problem in group.problems:
        click.echo(f"  {_printable(problem)}")
    extent = group.extent_size
    print_table(
        ("device", "uuid", "size", "free"),
        [
            (each.path or "missing", each.uuid, format_size(each.extents * extent), format_size(each.free * extent))
            for each in group.devices
        ],
    )
    print_table(
        ("volume", "size", "segments", "left out"),
        [
            (each.name, format_size(each.size), ", ".join(dict.fromkeys(s.type for s in each.segments)), each.left_out)
            for each in group.volumes
            if each.visible
        ],
    )


def _print_texts(document: TextsDocument) -> None:
    print_table(
        ("group", "seqno", "written", "checksum", "proof", "volumes", "on", "made by"),
        [
            (
                each.group,
                each.seqno,
                each.written or "-",
                each.checksum,
                each.proof,
                each.volumes,
                len({place.path for place in each.places}),
                _printable(each.description),
            )
            for each in document.texts
        ],
    )
    for problem in (*(f"{each.path}: {each.problem}" for each in document.broken), *document.problems):
        tell(_printable(problem))


def _printable(text: str) -> str:
    """What a disk says, on one line, and nothing that a terminal would take for a command."""
    return "".join(each if each.isprintable() else "?" for each in text)
