"""`drystone era create|status|checkpoint|snapshot|drop|remove`: era devices of this kernel."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from drystone.base.errors import ExistsError, KernelError, UsageError
from drystone.cli.output import HELP, json_option, print_json, print_pairs
from drystone.cli.preview import dry_run_option
from drystone.cli.programs import ProgramCommand, device_mapper, print_plan, run_program

if TYPE_CHECKING:
    from drystone.dvm.era import EraDevice
    from drystone.dvm.era_creation import Plan
    from drystone.kernel.dm.abc import DeviceMapper

_DISCARDS = "then: have the device refuse discards, of which dm-era marks only the first block"
_OLD_KERNEL = (
    "Linux {}.{} is older than 5.12: dm-era forgets what was written in the era in which the power goes; backups of "
    "this device copy everything"
)


def _verb(function: Callable[..., None]) -> click.Command:
    return click.command(cls=ProgramCommand, context_settings=HELP)(function)


_DEVICE = click.argument("device")


@_verb
@click.argument("name")
@click.option("--metadata", required=True, metavar="PATH", help="The block device for the metadata.")
@click.option("--origin", required=True, metavar="PATH", help="The block device whose writes are recorded.")
@click.option("--block-size", default="64k", show_default=True, metavar="SIZE", help="A multiple of 4k.")
@click.option(
    "--continue", "go_on", is_flag=True, help="The metadata device holds this device's metadata: go on with its eras."
)
@click.option("--force", is_flag=True, help="Overwrite what the metadata device holds with new metadata.")
@dry_run_option
@json_option
@click.pass_context
def create(
    ctx: click.Context,
    name: str,
    metadata: str,
    origin: str,
    block_size: str,
    *,
    go_on: bool,
    force: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put an era target over the device at --origin, as /dev/mapper/NAME.

    From now on the origin is used through NAME only: what is written past it is not recorded. What the origin holds is
    not changed. A device that is mounted or part of another one is refused.

    The metadata device must be zero at its beginning, or --force. --continue goes on with metadata that is there, after
    the machine has started again, say: only when nobody has written to the origin meanwhile. SIZE is the unit of what
    is recorded; small blocks make small backups and large metadata. The metadata gets a tag by which backups know it.

    Discards are refused by the device: on this kernel only the first block of one would be recorded.

    \b
    Examples:
      drystone era create db --metadata /dev/vg/dbmeta --origin /dev/vg/db --block-size 64k
      drystone era create db --metadata /dev/vg/dbmeta --origin /dev/vg/db --continue --dry-run
    """
    from drystone.base.names import check_name
    from drystone.base.sizes import parse_size
    from drystone.dvm.era_creation import Mode, Wanted, look, plan, run_plan
    from drystone.kernel.queue import forbid_discards
    from drystone.kernel.release import running_release

    if go_on and force:
        raise UsageError("--continue goes on with the metadata, --force overwrites it", hint="say one of the two")
    mode = Mode.CONTINUE if go_on else Mode.OVERWRITE if force else Mode.NEW
    metadata, origin = (str(Path(path).absolute()) for path in (metadata, origin))
    wanted = Wanted(check_name(name), metadata, origin, parse_size(block_size), mode)
    dm = device_mapper(ctx)
    _refuse_existing(dm, name)
    plan_ = plan(wanted, look(wanted, running_release()))
    notes = [*plan_.notes, *_kernel_notes()]
    if dry_run:
        _print_creation(plan_, notes, as_json=as_json)
        return
    run_plan(plan_, lambda program: run_program(dm, program))
    made = _find(dm, name)
    forbidden = forbid_discards(made.number)
    path = _make_node(dm, made)
    notes += ["the device refuses discards"] if forbidden else []
    era = _read(dm, made)["era"]
    if as_json:
        print_json({"path": path, "era": era, "tag": plan_.tag, "notes": notes})
        return
    click.echo(path)
    for each in notes:
        click.echo(f"drystone: {each}", err=True)


def _print_creation(plan_: Plan, notes: list[str], *, as_json: bool) -> None:
    """New metadata is written by the kernel, so the second program is known when that is done."""
    name = plan_.wanted.name
    if plan_.format is None:
        program = plan_.activation(plan_.superblock)
        print_plan(f"make the era device {name}", [program], before=notes, after=[_DISCARDS], as_json=as_json)
        return
    again = f"then: write the tag {plan_.tag} into the new metadata, and make {name} again in the same way"
    title = f"have the kernel write metadata for the era device {name}"
    print_plan(title, [plan_.format], before=notes, after=[again, _DISCARDS], as_json=as_json)


@_verb
@_DEVICE
@json_option
@click.pass_context
def status(ctx: click.Context, device: str, *, as_json: bool) -> None:
    """Print the current era, the metadata's space, the held metadata snapshot, and what the device stands on.

    `held` is the block of the metadata device where the snapshot is. `discards` says whether discards get through to
    the origin, where they would be recorded wrongly; backups then copy everything.

    \b
    Examples:
      drystone era status db
      drystone era status db --json | jq .era
    """
    dm = device_mapper(ctx)
    found = _read(dm, _find(dm, device))
    if as_json:
        print_json(found)
        return
    print_pairs([(key.replace("_", " "), _spell(key, value)) for key, value in found.items()])
    for each in _kernel_notes():
        click.echo(f"drystone: warning: {each}", err=True)


@_verb
@_DEVICE
@click.option(
    "--drain",
    is_flag=True,
    help="Hold the device for a moment after that, until no write of an earlier era is on its way.",
)
@dry_run_option
@json_option
@click.pass_context
def checkpoint(ctx: click.Context, device: str, *, drain: bool, dry_run: bool, as_json: bool) -> None:
    """Begin a new era; print its number.

    What is written from now on has that era or a later one. A write is recorded before it is passed on, and may be on
    its way still: say --drain before the data is copied or a snapshot of the origin is taken, or that write is in
    neither the copy nor the next list of what changed. With --drain the device waits for its origin; an origin that is
    suspended keeps it waiting.

    \b
    Examples:
      drystone era checkpoint db --drain
      drystone era checkpoint db --drain --json | jq .era
    """
    from drystone.dvm.era import checkpoint as compile_checkpoint
    from drystone.dvm.era import read_status

    dm = device_mapper(ctx)
    found = _find(dm, device)
    before = read_status(dm, found)  # a device that gives no answer takes no message
    program = compile_checkpoint(found, drain=drain)
    if dry_run:
        print_plan(f"begin a new era of {found.name}", [program], as_json=as_json)
        return
    run_program(dm, program).require_done()
    # Draining begins one more era; whatever else began some, this one is over or current, and began after the call.
    era = before.current_era + 1 if drain else read_status(dm, found).current_era
    if as_json:
        print_json({"device": found.name, "era": era})
    else:
        click.echo(era)


@_verb
@_DEVICE
@click.option("--replace", is_flag=True, help="Drop the snapshot that is held, whoever took it.")
@dry_run_option
@json_option
@click.pass_context
def snapshot(ctx: click.Context, device: str, *, replace: bool, dry_run: bool, as_json: bool) -> None:
    """Hold a snapshot of the metadata, for reading by other programs; print the block where it is.

    It tells of what was written before the era that it begins; the device then holds its writes for a moment, until
    none of those is on its way. A device has one at most, and `changed` and backups are refused until it is dropped:
    drop it soon.

    --json prints device, held (the block) and era: what the snapshot does not tell of has that era or a later one.

    \b
    Examples:
      drystone era snapshot db
      era_dump --metadata-snapshot /dev/vg/dbmeta
      drystone era drop db
    """
    from drystone.base.errors import BusyError
    from drystone.dvm.metadata_snapshot import ERA, find_held, keep, take_snapshot

    dm = device_mapper(ctx)
    found = _find(dm, device)
    if dry_run:
        there = find_held(dm, found.number, ERA)
        if there is not None and not replace:
            raise BusyError(f"a metadata snapshot of {found.name} is held already, at block {there}")
        program = take_snapshot(ERA, found.name, found.uuid, replace=there is not None, drain=True)
        print_plan(f"hold a metadata snapshot of {found.name}", [program], as_json=as_json)
        return
    held = keep(dm, found.number, ERA, replace=replace, drain=True, run=lambda program: run_program(dm, program))
    if as_json:
        print_json({"device": found.name, "held": held, "era": _read_held_era(found, held)})
    else:
        click.echo(held)


@_verb
@_DEVICE
@dry_run_option
@json_option
@click.pass_context
def drop(ctx: click.Context, device: str, *, dry_run: bool, as_json: bool) -> None:
    """Drop the metadata snapshot that is held, whoever took it.

    \b
    Example:
      drystone era drop db
    """
    from drystone.base.errors import NotFoundError
    from drystone.dvm.metadata_snapshot import ERA, drop_snapshot, find_held, let_go

    dm = device_mapper(ctx)
    found = _find(dm, device)
    if dry_run:
        if find_held(dm, found.number, ERA) is None:
            raise NotFoundError(f"{found.name} holds no metadata snapshot")
        program = drop_snapshot(ERA, found.name, found.uuid)
        print_plan(f"drop the metadata snapshot of {found.name}", [program], as_json=as_json)
        return
    held = let_go(dm, found.number, ERA, run=lambda program: run_program(dm, program))
    if as_json:
        print_json({"device": found.name, "dropped": held})


@_verb
@_DEVICE
@dry_run_option
@json_option
@click.pass_context
def remove(ctx: click.Context, device: str, *, dry_run: bool, as_json: bool) -> None:
    """Take the era target away again. The origin is as it is; the metadata stays, for `create --continue`.

    Refused while the device is mounted, open, or part of another one.

    \b
    Example:
      drystone era remove db
    """
    from drystone.dvm.era import removal

    dm = device_mapper(ctx)
    found = _find(dm, device)
    program = removal(dm, found)
    if dry_run:
        print_plan(f"remove the era device {found.name}", [program], as_json=as_json)
        return
    run_program(dm, program).require_done()
    _remove_node(dm, found.name)
    if as_json:
        print_json({"device": found.name, "removed": True})


def _find(dm: DeviceMapper, device: str) -> EraDevice:
    from drystone.dvm.era import find_era_device
    from drystone.kernel.dm.text import parse_ref

    return find_era_device(dm, parse_ref(device))


def _read_held_era(device: EraDevice, held: int) -> int:
    """The era of the metadata snapshot at block `held`. The device is in a later one, as it was drained after it."""
    from drystone.formats.era.superblock import read_superblock
    from drystone.kernel.blockdev import device_path, open_device

    with open_device(device_path(device.metadata)) as reader:
        return read_superblock(reader, location=held).current_era


def _read(dm: DeviceMapper, device: EraDevice) -> dict[str, Any]:
    """What `status` prints. Sizes are bytes."""
    from drystone.base.errors import NotFoundError
    from drystone.dvm.era import UUID_PREFIX, read_status
    from drystone.kernel.blockdev import device_path
    from drystone.kernel.queue import lets_discards_through

    status_ = read_status(dm, device)
    found: dict[str, Any] = {
        "device": device.name,
        "era": status_.current_era,
        "size": device.size,
        "block_size": device.block_size,
        "blocks": device.blocks,
        "metadata_used": status_.used_metadata,
        "metadata_total": status_.total_metadata,
        "held": status_.held_root,
    }
    for what, number in (("metadata", device.metadata), ("origin", device.origin)):
        found[what] = str(number)
        with contextlib.suppress(NotFoundError):
            found[what] = device_path(number)
    found["tag"] = device.uuid.removeprefix(UUID_PREFIX) if device.uuid.startswith(UUID_PREFIX) else None
    with contextlib.suppress(NotFoundError):
        found["discards"] = lets_discards_through(device.number)
    return found


def _spell(key: str, value: object) -> object:
    from drystone.base.sizes import format_size

    if value is None:
        return "-"
    if key == "discards":
        return "let through" if value else "refused"
    if key in {"size", "block_size"}:
        return f"{value} bytes ({format_size(int(str(value)))})"
    return f"{value} blocks of 4 KiB" if key.startswith("metadata_") else value


def _kernel_notes() -> list[str]:
    from drystone.kernel.release import ERA_KEEPS_WRITESETS, running_release

    release = running_release()
    return [_OLD_KERNEL.format(*release)] if release < ERA_KEEPS_WRITESETS else []


def _refuse_existing(dm: DeviceMapper, name: str) -> None:
    """:raises ExistsError: there is a device of that name."""
    with contextlib.suppress(KernelError):
        dm.info(name)
        raise ExistsError(f"there is a device-mapper device {name} already", hint=f"drystone dm info {name}")


def _make_node(dm: DeviceMapper, device: EraDevice) -> str:
    """/dev/mapper/NAME. Only the kernel's device-mapper has any."""
    from drystone.kernel.dm.device_mapper import KernelDeviceMapper
    from drystone.kernel.dm.nodes import make_node, node_path

    return make_node(device.name, device.number) if isinstance(dm, KernelDeviceMapper) else node_path(device.name)


def _remove_node(dm: DeviceMapper, name: str) -> None:
    from drystone.kernel.dm.device_mapper import KernelDeviceMapper
    from drystone.kernel.dm.nodes import remove_node

    if isinstance(dm, KernelDeviceMapper):
        remove_node(name)
