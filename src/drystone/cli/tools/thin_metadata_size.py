"""`thin_metadata_size`: an estimate before a pool is made."""

from __future__ import annotations

import click

from drystone.base.errors import UsageError
from drystone.cli.output import json_option, print_json
from drystone.cli.tools.command import tool


@tool(
    "thin_metadata_size",
    epilog="Units: b bytes, s sectors, k m g t p e z y powers of 1024, K M G T P E Z Y powers of 1000.",
)
@click.option("-b", "--block-size", required=True, metavar="SIZE[unit]", help="Block size of the pool.")
@click.option("-s", "--pool-size", required=True, metavar="SIZE[unit]", help="Size of the pool's data device.")
@click.option("-m", "--max-thins", required=True, metavar="COUNT[unit]", help="Thin devices and snapshots at most.")
@click.option("-u", "--unit", default="s", metavar="UNIT", help="Unit of the output; sectors by default.")
@click.option(
    "-n",
    "--numeric-only",
    is_flag=False,
    flag_value="plain",
    metavar="[short|long]",
    help="Print the number alone, or with the unit's letter or name.",
)
@json_option
def thin_metadata_size(
    block_size: str, pool_size: str, max_thins: str, unit: str, numeric_only: str | None, *, as_json: bool
) -> None:
    """Estimate how large a pool's metadata device must be.

    Sizes without a unit are sectors of 512 bytes. The estimate allows for leaves that are half full.

    \b
    Examples:
      convoy-pdata_tools thin_metadata_size -b 2m -s 100G -m 100000 -u M
      drystone thin metadata-size -b 64k -s 1t -m 1000 --json
    """
    from drystone.base.sizes import SECTOR
    from drystone.formats.pdata.blocks import BLOCK, MOST_BLOCKS
    from drystone.formats.thin.size import estimate_metadata_size, find_unit, format_amount, parse_quantity

    block = parse_quantity(block_size, "block size")
    pool = parse_quantity(pool_size, "pool size")
    thins = parse_quantity(max_thins, "max thins")
    shown = find_unit(unit)
    estimate = estimate_metadata_size(block.sectors, pool.sectors, thins.times)
    if as_json:
        print_json(
            {
                "block_size": block.sectors * SECTOR,
                "pool_size": pool.sectors * SECTOR,
                "max_thins": thins.times,
                "metadata_size": estimate,
                "largest_metadata_size": MOST_BLOCKS * BLOCK,
            }
        )
        return
    amount = format_amount(estimate, shown)
    if numeric_only is not None:
        click.echo(amount + {"plain": "", "short": shown.letter, "long": shown.name}[_find_style(numeric_only)])
        return
    asked = f"--block-size={block.format('sectors')} --pool-size={pool.format('sectors')} --max-thins={thins.format()}"
    click.echo(f'thin_metadata_size - {amount} {shown.name} estimated metadata area size for "{asked}"')


def _find_style(text: str) -> str:
    """`plain`, or the one of short and long that `text` begins."""
    for style in ("plain", "short", "long"):
        if text and style.startswith(text):
            return style
    raise UsageError(f"-n {text!r} is not known", hint="short or long")
