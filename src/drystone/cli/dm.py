"""`drystone dm`: device-mapper as it is, a command a call."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from drystone.base.errors import KernelError, UsageError
from drystone.cli.input import name_input, read_input
from drystone.cli.output import json_option, print_json, print_pairs, print_table
from drystone.kernel.dm.abc import DeviceEntry, DeviceInfo, DeviceMapper, TableLine, TargetStatus
from drystone.kernel.dm.causes import classed
from drystone.kernel.dm.text import format_line, parse_ref, parse_table_text

_REF = click.argument("ref", metavar="DEVICE")
_AS_JSON = json_option
_EPILOG = (
    "DEVICE: a name, uuid:TEXT, MAJOR:MINOR or the path of its node. START, LENGTH and offsets: sectors of 512 bytes. "
    "Exit codes: docs/reference/exit-codes.md."
)
_LINE_HINT = "a target a line, such as: 0 2048 linear 7:0 0 (sectors of 512 bytes)"


class _Call(click.Command):
    """A command that is a call of device-mapper: its failure has a class, and names the device as the user does."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("epilog", _EPILOG)
        super().__init__(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KernelError as error:
            raise classed(error, ctx.params.get("ref") or ctx.params.get("name") or "") from error


class _Calls(click.Group):
    command_class = _Call


@click.group(cls=_Calls)
@click.pass_context
def dm(ctx: click.Context) -> None:
    """Device-mapper devices, tables and targets of this kernel.

    A DEVICE is a name, uuid:TEXT, MAJOR:MINOR or the path of its node. Names are the kernel's own: what dmsetup calls
    "a b" is "a\\x20b" there. Lengths and offsets are in sectors of 512 bytes. Every command needs root.

    Nothing here asks back. For changes that are planned, checked and undone when they fail, see "drystone dvm".

    \b
    Examples:
      drystone dm list                                      what there is
      drystone dm create fast --line '0 2048 linear 7:0 0'  a device of 1 MiB, with its node
      drystone dm table fast                                how it is built
      drystone dm remove fast                               and away
    """
    if ctx.obj is None:
        from drystone.kernel.dm.device_mapper import KernelDeviceMapper

        mapper = KernelDeviceMapper()
        ctx.call_on_close(mapper.close)
        ctx.obj = mapper


@dm.command()
@_AS_JSON
@click.pass_obj
def version(mapper: DeviceMapper, as_json: bool) -> None:
    """The version of the kernel's interface.

    \b
    Example:
      drystone dm version
    """
    text = ".".join(map(str, mapper.version()))
    if as_json:
        print_json({"version": text})
    else:
        click.echo(text)


@dm.command()
@_AS_JSON
@click.pass_obj
def targets(mapper: DeviceMapper, as_json: bool) -> None:
    """The target types that the kernel has loaded; others it loads when a table names them.

    \b
    Example:
      drystone dm targets --json
    """
    found = sorted((each.name, ".".join(map(str, each.version))) for each in mapper.target_versions())
    if as_json:
        print_json([{"name": name, "version": text} for name, text in found])
    else:
        print_table(["target", "version"], found)


@dm.command("list")
@_AS_JSON
@click.pass_obj
def list_(mapper: DeviceMapper, as_json: bool) -> None:
    """All devices.

    \b
    Example:
      drystone dm list
    """
    found = mapper.list_devices()
    if as_json:
        print_json([_entry_document(each) for each in found])
    else:
        rows = [(each.name, each.number, each.event_nr, each.uuid or "-") for each in found]
        print_table(["name", "number", "events", "uuid"], rows)


@dm.command()
@_REF
@_AS_JSON
@click.pass_obj
def info(mapper: DeviceMapper, ref: str, as_json: bool) -> None:
    """State, counts and number of a device.

    \b
    Example:
      drystone dm info fast
    """
    _print_info(mapper.info(parse_ref(ref)), as_json=as_json)


@dm.command()
@_REF
@click.option("--inactive", is_flag=True, help="The table that the next resume brings in.")
@_AS_JSON
@click.pass_obj
def table(mapper: DeviceMapper, ref: str, inactive: bool, as_json: bool) -> None:
    """The live table, in the form that "create" and "load" read.

    \b
    Example:
      drystone dm table fast > fast.table
    """
    _print_table(mapper.table(parse_ref(ref), inactive=inactive), as_json=as_json)


@dm.command()
@_REF
@click.option("--no-flush", is_flag=True, help="A thin pool does not commit its metadata first.")
@_AS_JSON
@click.pass_obj
def status(mapper: DeviceMapper, ref: str, no_flush: bool, as_json: bool) -> None:
    """What each target of the live table reports.

    \b
    Example:
      drystone dm status pool --no-flush
    """
    found = mapper.status(parse_ref(ref), no_flush=no_flush)
    if as_json:
        print_json([msgspec.structs.asdict(each) for each in found])
    else:
        for each in found:
            click.echo(_status_line(each))


@dm.command()
@_REF
@click.option("--inactive", is_flag=True, help="Of the table that the next resume brings in.")
@_AS_JSON
@click.pass_obj
def deps(mapper: DeviceMapper, ref: str, inactive: bool, as_json: bool) -> None:
    """The devices that a table uses.

    \b
    Example:
      drystone dm deps fast
    """
    found = [str(each) for each in mapper.deps(parse_ref(ref), inactive=inactive)]
    if as_json:
        print_json(found)
    else:
        for each in found:
            click.echo(each)


def _table_options(function: Any) -> Any:
    """Where a table comes from."""
    function = click.option(
        "--line", "lines", multiple=True, metavar="TEXT", help="A target: START LENGTH TARGET PARAMETERS. Repeatable."
    )(function)
    function = click.option(
        "--table", "file", metavar="FILE", help="A file with a target a line; - for standard input."
    )(function)
    return click.option("--read-only", is_flag=True, help="The device refuses writes.")(function)


@dm.command()
@click.argument("name")
@click.option("--uuid", default="", help="Its dm UUID, at most 128 bytes.")
@click.option(
    "--minor", type=click.IntRange(0, (1 << 20) - 1), help="Its minor number; the kernel picks one otherwise."
)
@_table_options
@_AS_JSON
@click.pass_obj
def create(
    mapper: DeviceMapper,
    name: str,
    uuid: str,
    minor: int | None,
    file: str | None,
    lines: tuple[str, ...],
    read_only: bool,
    as_json: bool,
) -> None:
    """A new device. With a table it is loaded, resumed and given its node, or nothing is left of it.

    \b
    Examples:
      drystone dm create fast --line '0 2048 linear 7:0 0' --line '2048 2048 zero'
      drystone dm table fast | drystone dm create twin --table -
      drystone dm create bare
    """
    wanted = _read_table(file, lines)
    if wanted is None:
        if read_only:
            raise UsageError("--read-only goes with a table", hint="add --line or --table")
        made = mapper.create(name, uuid, minor=minor)
    else:
        from drystone.kernel.dm.activation import create_active

        made = create_active(mapper, name, wanted, uuid=uuid, minor=minor, read_only=read_only)
    _print_info(made, as_json=as_json)


@dm.command()
@_REF
@_table_options
@_AS_JSON
@click.pass_obj
def load(
    mapper: DeviceMapper, ref: str, file: str | None, lines: tuple[str, ...], read_only: bool, as_json: bool
) -> None:
    """Put a table in the inactive slot; it takes effect at "resume".

    \b
    Example:
      drystone dm load fast --line '0 4096 linear 7:0 0' && drystone dm resume fast
    """
    wanted = _read_table(file, lines)
    if wanted is None:
        raise UsageError("no table was given", hint="add --line or --table")
    _print_info(mapper.load(parse_ref(ref), wanted, read_only=read_only), as_json=as_json)


@dm.command()
@_REF
@_AS_JSON
@click.pass_obj
def clear(mapper: DeviceMapper, ref: str, as_json: bool) -> None:
    """Empty the inactive slot.

    \b
    Example:
      drystone dm clear fast
    """
    _print_info(mapper.clear(parse_ref(ref)), as_json=as_json)


@dm.command()
@_REF
@click.option("--no-flush", is_flag=True, help="Do not finish what is in flight first.")
@click.option("--no-lock-fs", is_flag=True, help="Do not freeze a file system that is mounted on it.")
@_AS_JSON
@click.pass_obj
def suspend(mapper: DeviceMapper, ref: str, no_flush: bool, no_lock_fs: bool, as_json: bool) -> None:
    """Hold all input and output until "resume". Do not suspend what this system runs from.

    \b
    Example:
      drystone dm suspend fast
    """
    found = mapper.suspend(parse_ref(ref), no_flush=no_flush, lock_fs=not no_lock_fs)
    _print_info(found, as_json=as_json)


@dm.command()
@_REF
@_AS_JSON
@click.pass_obj
def resume(mapper: DeviceMapper, ref: str, as_json: bool) -> None:
    """Swap in the inactive table if there is one, and let input and output go on. Makes the node where it is missing.

    \b
    Example:
      drystone dm resume fast
    """
    from drystone.kernel.dm.activation import resume_with_node

    _print_info(resume_with_node(mapper, parse_ref(ref)), as_json=as_json)


@dm.command()
@_REF
@click.option("--deferred", is_flag=True, help="If it is open, remove it when its last holder closes it.")
@_AS_JSON
@click.pass_obj
def remove(mapper: DeviceMapper, ref: str, deferred: bool, as_json: bool) -> None:
    """Remove a device that nobody has open, and its node.

    \b
    Example:
      drystone dm remove fast
    """
    from drystone.kernel.dm.activation import remove_with_node

    gone = remove_with_node(mapper, parse_ref(ref), deferred=deferred)
    if as_json:
        print_json({"device": ref, "removed": gone})


@dm.command()
@_REF
@click.argument("name", required=False)
@click.option("--uuid", help="Give it this UUID instead of a name; it must have none.")
@_AS_JSON
@click.pass_obj
def rename(mapper: DeviceMapper, ref: str, name: str | None, uuid: str | None, as_json: bool) -> None:
    """Give a device another name, or a UUID.

    \b
    Examples:
      drystone dm rename fast faster
      drystone dm rename fast --uuid MY-1
    """
    if (name is None) == (uuid is None):
        raise UsageError("give either a name or --uuid")
    number = mapper.info(parse_ref(ref)).number
    if uuid is not None:
        mapper.set_uuid(number, uuid)
    elif name is not None:
        from drystone.kernel.dm.activation import rename_with_node

        rename_with_node(mapper, number, name)
    if as_json:
        _print_info(mapper.info(number), as_json=True)


@dm.command()
@_REF
@click.argument("text", nargs=-1, required=True)
@click.option(
    "--sector", type=click.IntRange(min=0), default=0, show_default=True, help="The target that holds this sector."
)
@_AS_JSON
@click.pass_obj
def message(mapper: DeviceMapper, ref: str, text: tuple[str, ...], sector: int, as_json: bool) -> None:
    """Send a message to a target; prints the answer if there is one.

    What a message does cannot be undone here: a thin pool's "delete 7" frees the data of thin device 7 at once.

    \b
    Examples:
      drystone dm message pool create_thin 7
      drystone dm message --sector 2048 fast -- @stats_list
    """
    answer = mapper.message(parse_ref(ref), " ".join(text), sector=sector)
    if as_json:
        print_json({"answer": answer})
    elif answer:
        click.echo(answer.rstrip("\n"))


@dm.command()
@_REF
@click.argument("event", type=click.IntRange(0, (1 << 32) - 1), required=False)
@_AS_JSON
@click.pass_obj
def wait(mapper: DeviceMapper, ref: str, event: int | None, as_json: bool) -> None:
    """Wait until the device's event counter is past EVENT (default: past what it is now). Ctrl-C ends the wait.

    \b
    Example:
      drystone dm wait pool && drystone dm status pool
    """
    device = parse_ref(ref)
    _print_info(mapper.wait(device, mapper.info(device).event_nr if event is None else event), as_json=as_json)


def _read_table(file: str | None, lines: tuple[str, ...]) -> list[TableLine] | None:
    """The table of --table or --line; None: neither was given."""
    if file is not None and lines:
        raise UsageError("give either --table or --line")
    if lines:
        return _parse_table("\n".join(lines))
    if file is None:
        return None
    try:
        return _parse_table(read_input(file).decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{name_input(file)} is not text", hint=_LINE_HINT) from error


def _parse_table(text: str) -> list[TableLine]:
    """The lines of a table, one at least."""
    found = parse_table_text(text)
    if not found:
        raise UsageError("the table is empty", hint=_LINE_HINT)
    return found


def _entry_document(entry: DeviceEntry) -> dict[str, object]:
    return {**msgspec.structs.asdict(entry), "number": str(entry.number)}


def _print_info(found: DeviceInfo, *, as_json: bool) -> None:
    document = {**msgspec.structs.asdict(found), "number": str(found.number)}
    if as_json:
        print_json(document)
        return
    tables = [name for name, there in (("live", found.live_table), ("inactive", found.inactive_table)) if there]
    print_pairs(
        [
            ("name", found.name),
            ("number", found.number),
            ("uuid", found.uuid or "-"),
            ("state", "suspended" if found.suspended else "active" if found.live_table else "without a table"),
            ("access", "read-only" if found.read_only else "read-write"),
            ("tables", ", ".join(tables) or "-"),
            ("targets", found.target_count),
            ("open", f"{found.open_count}{', to be removed at the last close' if found.deferred_remove else ''}"),
            ("events", found.event_nr),
        ]
    )


def _print_table(found: list[TableLine], *, as_json: bool) -> None:
    if as_json:
        print_json([msgspec.structs.asdict(each) for each in found])
        return
    for each in found:
        click.echo(format_line(each))


def _status_line(each: TargetStatus) -> str:
    return f"{each.start} {each.length} {each.target} {each.text}".rstrip()
