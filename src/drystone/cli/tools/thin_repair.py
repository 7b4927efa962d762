"""`thin_repair`: saves what can be saved of damaged thin metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from drystone.base.errors import DamagedError, DrystoneError, NotFoundError, RefusedError
from drystone.cli.output import json_option, print_json
from drystone.cli.tools.command import quiet_option, tool
from drystone.cli.tools.metadata_files import open_target, source_option, target_option
from drystone.cli.tools.plain.failures import name_file
from drystone.cli.tools.thin_files import check_block_size, override_options

if TYPE_CHECKING:
    from drystone.formats.thin.check import Report
    from drystone.formats.thin.salvage import Missing, Salvage
    from drystone.kernel.blockdev import BlockDevice

MOST_LINES = 200
"""Lost ranges that are printed as text; the JSON document has them all."""


@tool("thin_repair")
@source_option("The damaged metadata.")
@target_option
@override_options
@quiet_option
@json_option
def thin_repair(
    source: str,
    target: str,
    transaction_id: int | None,
    data_block_size: int | None,
    nr_data_blocks: int | None,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Save what can be saved of damaged thin metadata, into another file or device.

    The output must exist: a device, or a file that is large enough. It is written over. The input is only read. What
    is lost is printed, by device and range of its blocks; the result has been checked when this ends well.

    \b
    Examples:
      drystone thin repair -i /dev/vg/meta -o /dev/vg/meta-new
      drystone thin repair -i broken.img -o new.img --data-block-size 128 --json
    """
    from drystone.formats.thin.salvage import Overrides, find_salvage
    from drystone.kernel.blockdev import open_device

    overrides = Overrides(transaction_id, data_block_size, nr_data_blocks)
    check_block_size(data_block_size)
    with open_device(source, exclusive=True) as reader:
        _refuse_same(source, target)
        try:
            salvage = find_salvage(reader, overrides)
        except DrystoneError as error:
            raise name_file(error, source) from error
        report = _write(reader, salvage, target)
    if as_json:
        print_json(_describe(source, target, salvage, report))
    elif not quiet:
        _print(source, target, salvage, report)


def _refuse_same(source: str, target: str) -> None:
    """:raises RefusedError: both paths lead to the same storage. :raises NotFoundError: there is no output."""
    from drystone.kernel.identity import share_storage

    try:
        same = share_storage(source, target)
    except NotFoundError as error:
        hint = "the output must be a device, or a file that is large enough"
        raise NotFoundError(error.message, hint=hint) from error
    if same:
        raise RefusedError(
            f"{target} is the input, {source}, or lies upon it", hint="a repair never writes over what it reads"
        )


def _write(reader: BlockDevice, salvage: Salvage, target: str) -> Report:
    from drystone.formats.thin.repair import write_salvage

    with open_target(target) as disk:
        try:
            return write_salvage(reader, salvage, disk)
        except DamagedError as error:
            raise name_file(error, target) from error


def _describe(source: str, target: str, salvage: Salvage, report: Report) -> dict[str, Any]:
    superblock = salvage.superblock
    return {
        "input": source,
        "output": target,
        "whole": not salvage.missing and not salvage.notes,
        "transaction_id": superblock.transaction_id,
        "data_block_size": superblock.data_block_bytes,
        "data_blocks": superblock.data_space_map.nr_blocks,
        "devices": [
            {
                "dev_id": dev_id,
                "mapped_blocks": device.mapped_blocks,
                "missing": [_describe_missing(each) for each in salvage.missing if each.dev_id == dev_id],
            }
            for dev_id, device in salvage.devices.items()
        ],
        "notes": list(salvage.notes),
        "checked": {"devices": report.devices, "mappings": report.mappings},
    }


def _describe_missing(missing: Missing) -> dict[str, Any]:
    return {"low": missing.low, "high": missing.high, "block": missing.block, "reason": missing.reason}


def _print(source: str, target: str, salvage: Salvage, report: Report) -> None:
    lines = [f"{source}: {note}" for note in salvage.notes]
    lines += [_spell(source, each) for each in salvage.missing]
    for line in lines[:MOST_LINES]:
        click.echo(f"thin_repair: {line}", err=True)
    if len(lines) > MOST_LINES:
        click.echo(f"thin_repair: {source}: {len(lines) - MOST_LINES} more, which --json prints", err=True)
    torn = len({each.dev_id for each in salvage.missing})
    partly = f", {torn} of them in part" if torn else ""
    click.echo(f"{target}: {report.devices} devices saved{partly}, {report.mappings} mappings; checked and sound")


def _spell(source: str, missing: Missing) -> str:
    end = "to the end" if missing.high is None else f"to {missing.high}"
    return (
        f"{source}: device {missing.dev_id} lacks blocks {missing.low} {end}: block {missing.block}: {missing.reason}"
    )
