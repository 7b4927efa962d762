"""`era_check`: whether era metadata is sound."""

from __future__ import annotations

import click

from drystone.cli.output import json_option, print_json
from drystone.cli.tools.command import quiet_option, tool
from drystone.cli.tools.era_files import input_argument, open_metadata, snapshot_option


@tool("era_check", epilog="Exit codes: 0 sound, 1 not sound or not readable, 2 wrong arguments.")
@input_argument
@quiet_option
@click.option("--super-block-only", is_flag=True, help="Check the superblock alone.")
@click.option("--ignore-non-fatal-errors", is_flag=True, help="Let pass what loses no data: leaked blocks, wrong sums.")
@snapshot_option
@json_option
def era_check(
    input: str,  # noqa: A002  # the name that the tools' help gives it
    *,
    quiet: bool,
    super_block_only: bool,
    ignore_non_fatal_errors: bool,
    held: bool,
    as_json: bool,
) -> None:
    """Check era metadata: every node, the current writeset, and every reference count of the space map.

    INPUT is a metadata device that no era device uses, or a copy of one. With -m, also one in use: only the metadata
    snapshot is checked then, without the space map, which changes all the time.

    \b
    Examples:
      drystone era check /dev/vg/dbmeta
      drystone era check -m --json /dev/vg/dbmeta
    """
    from drystone.formats.era.check import check_metadata, check_superblock

    with open_metadata(input, exclusive=not held) as device:
        report = (check_superblock if super_block_only else check_metadata)(device, held=held)
    sound = report.is_sound(ignore_remarks=ignore_non_fatal_errors)
    if as_json:
        print_json({"input": input, **report.to_document()})
    elif not quiet:
        for damage in report.errors:
            click.echo(f"era_check: {input}: {damage.describe()}", err=True)
        for damage in report.remarks:
            click.echo(f"era_check: {input}: non-fatal: {damage.describe()}", err=True)
        for damage in report.notes:
            click.echo(f"era_check: {input}: note: {damage.describe()}", err=True)
        if sound and report.superblock is not None:
            superblock = report.superblock
            click.echo(f"{input}: sound; {superblock.nr_blocks} blocks, current era {superblock.current_era}")
    if not sound:
        raise click.exceptions.Exit(1)
