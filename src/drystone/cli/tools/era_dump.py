"""`era_dump`: era metadata as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from drystone.cli.output import json_option
from drystone.cli.tools.command import compat_option, output_option, tool
from drystone.cli.tools.era_files import input_argument, snapshot_option
from drystone.cli.tools.plain.era_input import open_era, open_metadata
from drystone.cli.tools.streams import refuse_same, write_chunks

if TYPE_CHECKING:
    from drystone.formats.era.parts import Part


@tool("era_dump")
@input_argument
@output_option
@click.option("-r", "--repair", is_flag=True, help="Go on after damage, as era_repair does; what is lost is on stderr.")
@click.option("--logical", is_flag=True, help="Fold the writesets into the array; a block's newest era wins.")
@snapshot_option
@click.option("--format", "form", type=click.Choice(["xml", "json"]), default="xml", show_default=True, help="Of what.")
@compat_option
@json_option
def era_dump(
    input: str,  # noqa: A002  # the name that the tools' help gives it
    output: str | None,
    form: str,
    compat: str,  # noqa: ARG001  # 0.9 spells this XML as 1.x does
    *,
    repair: bool,
    logical: bool,
    held: bool,
    as_json: bool,
) -> None:
    """Print era metadata as XML or JSON.

    INPUT is a metadata device that no era device uses, or a copy of one; with -m also one in use. The writeset of the
    current era, of live metadata that was not shut down, is printed after the archived ones.

    \b
    Examples:
      drystone era dump /dev/vg/dbmeta -o dbmeta.xml
      drystone era dump -m --logical --json /dev/vg/dbmeta
    """
    from drystone.formats.era.dump import FORMATS
    from drystone.formats.era.parts import iter_logical_parts, iter_parts

    def print_parts(parts: Iterator[Part]) -> None:
        write_chunks(FORMATS["json" if as_json else form](parts), output)

    refuse_same(input, output)
    if repair:
        _print_damaged(input, print_parts, held=held, logical=logical)
        return
    with open_era(input, held=held) as (device, superblock):
        print_parts((iter_logical_parts if logical else iter_parts)(device, superblock))


def _print_damaged(file: str, print_parts: Callable[[Iterator[Part]], None], *, held: bool, logical: bool) -> None:
    from drystone.formats.era.repair import open_damaged

    with open_metadata(file, exclusive=not held) as device:
        source = open_damaged(device, held=held)
        print_parts(source.iter_parts(logical=logical))
    for line in (*(each.describe() for each in source.losses), *source.remarks):
        click.echo(f"era_dump: {file}: {line}", err=True)
