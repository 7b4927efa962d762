"""`thin_dump`: thin metadata as XML, text or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.base.errors import DamagedError, UnsupportedError, UsageError
from drystone.cli.output import json_option
from drystone.cli.tools.command import compat_option, output_option, tool
from drystone.cli.tools.plain.failures import name_file
from drystone.cli.tools.plain.thin_input import LIVE, open_thin
from drystone.cli.tools.streams import refuse_same, write_chunks
from drystone.cli.tools.thin_files import check_block_size, input_argument, snapshot_option

if TYPE_CHECKING:
    from drystone.formats.thin.dump import Choice
    from drystone.formats.thin.spelling import Speller

FORMATS = ["xml", "human_readable", "json"]

MOST_LINES = 200
"""Lines on what could not be saved."""


@tool("thin_dump")
@input_argument
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), default="xml", show_default=True, help="Of what.")
@output_option
@click.option("-r", "--repair", is_flag=True, help="Print what can be saved of damaged metadata; tell what cannot.")
@snapshot_option
@click.option("--dev-id", "dev_ids", type=click.IntRange(min=0), multiple=True, metavar="ID", help="This device only.")
@click.option("--skip-mappings", is_flag=True, help="Print devices without their mappings.")
@click.option("--transaction-id", type=click.IntRange(min=0), metavar="N", help="Print this transaction id.")
@click.option("--data-block-size", type=click.IntRange(min=1), metavar="SECTORS", help="Print this data block size.")
@click.option("--nr-data-blocks", type=click.IntRange(min=0), metavar="N", help="Print at least so many data blocks.")
@compat_option
@json_option
def thin_dump(
    file: str,
    form: str,
    output: str | None,
    snapshot: str,
    dev_ids: tuple[int, ...],
    transaction_id: int | None,
    data_block_size: int | None,
    nr_data_blocks: int | None,
    compat: str,
    *,
    repair: bool,
    skip_mappings: bool,
    as_json: bool,
) -> None:
    """Print thin metadata as XML, text or JSON.

    INPUT is a metadata device that no pool uses, or a copy of one; with -m also one in use. Mappings that several
    devices share are printed once, as a definition that the devices refer to; with --compat 0.9 once a device.

    \b
    Examples:
      drystone thin dump /dev/vg/meta -o meta.xml
      drystone thin dump -m --dev-id 1 --json /dev/vg/meta
    """
    from drystone.formats.thin.dump import Choice, dump
    from drystone.formats.thin.spelling import SPELLERS

    if repair and snapshot != LIVE:
        raise UsageError("--repair reads the live metadata: not with --metadata-snap")
    check_block_size(data_block_size)

    old = compat == "0.9"
    spell = SPELLERS["json" if as_json else form, old]
    choice = Choice(
        devices=dev_ids or None,
        mappings=not skip_mappings,
        share=not old,
        transaction_id=transaction_id,
        data_block_size=data_block_size,
        nr_data_blocks=nr_data_blocks,
    )
    refuse_same(file, output)
    if repair:
        _dump_saved(file, choice, spell, output)
        return
    with open_thin(file, snapshot) as (device, superblock):
        write_chunks(spell(dump(device, superblock, choice)), output)


def _dump_saved(file: str, choice: Choice, spell: Speller, output: str | None) -> None:
    """Dump what can be saved; what cannot is told on stderr, a line each."""
    from drystone.formats.thin.dump_saved import dump_saved
    from drystone.formats.thin.salvage import Overrides, find_salvage
    from drystone.kernel.blockdev import open_device

    with open_device(file, exclusive=True) as device:
        try:
            overrides = Overrides(choice.transaction_id, choice.data_block_size, choice.nr_data_blocks)
            salvage = find_salvage(device, overrides)
            write_chunks(spell(dump_saved(device, salvage, choice)), output)
        except (DamagedError, UnsupportedError) as error:
            raise name_file(error, file) from error
    lines = list(salvage.notes)
    for each in salvage.missing:
        end = "the end" if each.high is None else each.high
        lines.append(f"device {each.dev_id} lacks blocks {each.low} to {end}: block {each.block}: {each.reason}")
    for line in lines[:MOST_LINES]:
        click.echo(f"thin_dump: {file}: {line}", err=True)
    if len(lines) > MOST_LINES:
        click.echo(f"thin_dump: {file}: {len(lines) - MOST_LINES} more; thin_repair --json tells all", err=True)
