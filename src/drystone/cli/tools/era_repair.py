"""`era_repair`: what can be saved of damaged era metadata."""

from __future__ import annotations

import click

from drystone.base.errors import UsageError
from drystone.cli.output import json_option, print_json
from drystone.cli.tools.command import quiet_option, tool
from drystone.cli.tools.metadata_files import open_target, source_option, target_option
from drystone.cli.tools.plain.era_input import open_metadata
from drystone.cli.tools.streams import refuse_same
from drystone.formats.era.layout import DATA_BLOCK_UNIT, LARGEST_DATA_BLOCK, MOST_DATA_BLOCKS


@tool("era_repair")
@source_option("The damaged metadata.")
@target_option
@click.option(
    "--data-block-size",
    metavar="SECTORS",
    type=click.IntRange(min=1, max=LARGEST_DATA_BLOCK),
    help="The era device's block size, when no superblock is left that tells it.",
)
@click.option(
    "--nr-blocks",
    metavar="N",
    type=click.IntRange(min=1, max=MOST_DATA_BLOCKS),
    help="How many such blocks the era device has, in place of what is found.",
)
@quiet_option
@json_option
def era_repair(
    source: str, target: str, data_block_size: int | None, nr_blocks: int | None, *, quiet: bool, as_json: bool
) -> None:
    """Save what can be saved of damaged era metadata, into another device or file.

    Blocks of which it is not known whether they were written are taken as written, in the newest era that is possible,
    so that no write is missed by whoever asks what changed. What is lost is listed. The input is not written to; the
    result is checked before it is called good.

    \b
    Examples:
      drystone era repair -i damaged.img -o repaired.img
      drystone era repair --data-block-size 128 --nr-blocks 16384 -i damaged.img -o repaired.img
    """
    from drystone.formats.era.repair import Overrides, repair

    if data_block_size is not None and data_block_size % DATA_BLOCK_UNIT:
        hint = f"the kernel takes multiples of {DATA_BLOCK_UNIT} sectors"
        raise UsageError(f"--data-block-size {data_block_size} is not possible", hint=hint)
    refuse_same(source, target)
    with open_metadata(source, exclusive=True) as reader, open_target(target) as disk:
        outcome = repair(reader, disk, Overrides(data_block_size, nr_blocks))
    if as_json:
        print_json({"input": source, "output": target, **outcome.to_document()})
        return
    if quiet:
        return
    for line in (
        *(f"damaged: {each.describe()}" for each in outcome.damages),
        *(f"lost: {each.describe()}" for each in outcome.losses),
        *(f"note: {each}" for each in outcome.remarks),
    ):
        click.echo(line)
    superblock = outcome.superblock
    lost = f"{len(outcome.losses)} losses" if outcome.losses else "nothing lost"
    click.echo(f"{target}: {superblock.nr_blocks} blocks, current era {superblock.current_era}, {lost}")
