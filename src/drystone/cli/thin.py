"""`drystone thin`: the metadata of a dm-thin pool, read from its metadata device or from a copy in a file."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from drystone.base.errors import BusyError, DamagedError, DrystoneError, NotFoundError, UnsupportedError
from drystone.cli.lazy import Lazy, LazyGroup
from drystone.cli.output import HELP, Function, json_option, print_json, print_pairs, print_table
from drystone.cli.start_up import spare_numpy
from drystone.cli.tools.table import list_verbs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from drystone.formats.thin.extents import Runs
    from drystone.formats.thin.superblock import Superblock
    from drystone.kernel.blockdev import BlockDevice

    Rows = NDArray[np.uint64]

VERBS = {
    **list_verbs("thin"),
    "changed": Lazy("drystone.cli.thin_changed:changed", "Print the byte ranges that differ between two thin devices."),
    "picture": Lazy("drystone.cli.thin_picture:picture", "Draw a pool: what is mapped, shared, fragmented."),
    "damage": Lazy(
        "drystone.cli.metadata_damage:thin_damage", "Damage a copy of thin metadata on purpose, for drills."
    ),
}


@click.group(cls=LazyGroup, lazy=VERBS, context_settings=HELP)
def thin() -> None:
    """dm-thin metadata: read, checked, dumped, restored, repaired, compared.

    FILE is a metadata device or a copy of one. The device of an active pool is in use: reserve a metadata snapshot
    (`dmsetup message POOL 0 reserve_metadata_snap`), read it with -m, and release it. The verbs that
    thin-provisioning-tools has too take its flags and give its output and exit codes.

    \b
    Examples:
      drystone thin metadata-size -b 2m -s 100g -m 1000
      drystone thin info /dev/vg/meta
      drystone thin check -m /dev/vg/meta
    """
    spare_numpy()


def _snapshot_option(function: Function) -> Function:
    return click.option("-m", "--metadata-snap", "held", is_flag=True, help="Read the reserved metadata snapshot.")(
        function
    )


_FILE = click.argument("file", type=click.Path())


@thin.command(context_settings=HELP)
@_FILE
@_snapshot_option
@json_option
def info(file: str, *, held: bool, as_json: bool) -> None:
    """Print the superblock: transaction, sizes, space, roots.

    Blocks of data are the pool's, whose size is the data block size; blocks of metadata have 4096 bytes, and roots are
    their numbers.

    \b
    Examples:
      drystone thin info metadata.img
      drystone thin info -m /dev/vg/meta --json
    """
    with _open(file, held=held) as (device, superblock):
        document = _describe(superblock)
        if missing := _tell_missing(device, superblock):
            click.echo(f"drystone: {file}: {missing}", err=True)
    if as_json:
        print_json(document)
        return
    print_pairs([(name.replace("_", " "), _spell(name, value)) for name, value in document.items()])


@thin.command(context_settings=HELP)
@_FILE
@_snapshot_option
@json_option
def devices(file: str, *, held: bool, as_json: bool) -> None:
    """List the thin devices with how much each maps.

    Mapped blocks are the pool's. Creation and snapshotted time count the pool's snapshots.

    \b
    Example:
      drystone thin devices -m /dev/vg/meta
    """
    from drystone.formats.thin.devices import read_devices

    with _open(file, held=held) as (reader, superblock):
        found = read_devices(reader, superblock).values()
    size = superblock.data_block_bytes
    rows = [{**asdict(each), "mapped_bytes": each.mapped_blocks * size} for each in found]
    if as_json:
        print_json(rows)
        return
    columns = ["dev_id", "mapped_blocks", "mapped_bytes", "transaction_id", "creation_time", "snapshotted_time"]
    print_table([name.replace("_", " ") for name in columns], [[row[name] for name in columns] for row in rows])


@thin.command(context_settings=HELP)
@click.argument("device", type=click.IntRange(min=0))
@_FILE
@_snapshot_option
@json_option
def mappings(device: int, file: str, *, held: bool, as_json: bool) -> None:
    """Print where the blocks of thin device DEVICE (its id) are.

    A line a range: first block of the device, first block of the pool's data, length, time; all but the time in
    pool blocks. The time counts the pool's snapshots.

    \b
    Example:
      drystone thin mappings 1 -m /dev/vg/meta
    """
    from drystone.formats.thin.extents import iter_runs
    from drystone.formats.thin.mappings import iter_mappings

    with _open(file, held=held) as (reader, superblock):
        runs = iter_runs(iter_mappings(reader, superblock, device))
        _print_rows(
            {
                "device": device,
                "block_size": superblock.data_block_bytes,
                "columns": ["begin", "data", "length", "time"],
            },
            _list_runs(runs),
            as_json=as_json,
        )


@contextlib.contextmanager
def _open(file: str, *, held: bool) -> Iterator[tuple[BlockDevice, Superblock]]:
    """The device and the superblock to start from; errors name the file.

    The live metadata is read only while nobody else can write it; a reserved snapshot holds still.
    """
    from drystone.formats.thin.superblock import read_held_superblock, read_superblock
    from drystone.kernel.blockdev import open_device

    missing = ""
    try:
        with open_device(file, exclusive=not held) as device:
            superblock = read_held_superblock(device) if held else read_superblock(device)
            missing = _tell_missing(device, superblock)
            yield device, superblock
    except (DamagedError, UnsupportedError) as error:
        raise _name_file(
            error, file, missing or "thin_check says what is wrong, if this is dm-thin metadata"
        ) from error
    except NotFoundError as error:
        raise _name_file(error, "", "drystone thin devices lists them" if "dev_id" in error.facts else "") from error
    except BusyError as error:
        hint = "reserve a metadata snapshot of the active pool and read it with -m"
        raise BusyError(error.message, hint=hint, **error.facts) from error


def _tell_missing(device: BlockDevice, superblock: Superblock) -> str:
    """What a copy that was cut short lacks; "" for a whole one."""
    from drystone.formats.pdata.blocks import BLOCK

    whole = max(superblock.metadata_space_map.nr_blocks, superblock.metadata_nr_blocks) * BLOCK
    return f"it has {device.size} of {whole} bytes: it was cut short" if device.size < whole else ""


def _name_file(error: DrystoneError, file: str, hint: str) -> DrystoneError:
    """The same error with the file and, where it has none, a hint."""
    message = f"{file}: {error.message}" if file else error.message
    facts = {**error.facts, **({"file": file} if file else {})}
    return type(error)(message, hint=error.hint or hint, **facts)


def _describe(superblock: Superblock) -> dict[str, Any]:
    """The superblock as JSON values: roots are metadata blocks, sizes say their unit."""
    return {
        "transaction_id": superblock.transaction_id,
        "time": superblock.time,
        "needs_check": superblock.needs_check,
        "data_block_size": superblock.data_block_bytes,
        "data_blocks": superblock.data_space_map.nr_blocks,
        "data_blocks_used": superblock.data_space_map.nr_allocated,
        "metadata_blocks": superblock.metadata_space_map.nr_blocks or superblock.metadata_nr_blocks,
        "metadata_blocks_used": superblock.metadata_space_map.nr_allocated,
        "held_root": superblock.held_root or None,
        "data_mapping_root": superblock.data_mapping_root,
        "device_details_root": superblock.device_details_root,
        "location": superblock.location,
        "version": superblock.version,
        "flags": superblock.flags,
        "uuid": superblock.uuid.hex() if any(superblock.uuid) else "",
    }


def _spell(name: str, value: object) -> object:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value} bytes" if name == "data_block_size" else value


def _list_runs(batches: Iterable[Runs]) -> Iterator[Rows]:
    import numpy as np

    for runs in batches:
        yield np.stack((runs.virtual, runs.data, runs.length, runs.time.astype(np.uint64)), axis=1)


def _print_rows(head: dict[str, object], batches: Iterable[Rows], *, as_json: bool) -> None:
    """Rows of numbers as they come, so that memory stays that of a batch: lines, or one JSON object with `rows`.

    A batch is formatted in one go: a line a call costs more than reading the metadata does.
    """
    write = sys.stdout.write
    columns = head["columns"]
    assert isinstance(columns, list)
    if not as_json:
        line = " ".join(["%d"] * len(columns)) + "\n"
        for rows in batches:
            write(line * len(rows) % tuple(rows.reshape(-1).tolist()))
        return
    import json

    row = "[" + ", ".join(["%d"] * len(columns)) + "]"
    before = json.dumps(head)[:-1] + ', "rows": [\n'
    for rows in batches:
        write(before + ",\n".join([row] * len(rows)) % tuple(rows.reshape(-1).tolist()))
        before = ",\n"
    write("\n]}\n" if before == ",\n" else before + "]}\n")
