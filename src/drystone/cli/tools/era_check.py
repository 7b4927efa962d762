"""`era_check`: whether era metadata is sound."""

from __future__ import annotations

import click

from drystone.cli.output import json_option
from drystone.cli.tools.command import quiet_option, tool
from drystone.cli.tools.era_files import input_argument, snapshot_option
from drystone.cli.tools.plain.era_check import run_era_check


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
    code = run_era_check(
        input,
        quiet=quiet,
        super_block_only=super_block_only,
        ignore_non_fatal_errors=ignore_non_fatal_errors,
        held=held,
        as_json=as_json,
    )
    if code:
        raise click.exceptions.Exit(code)
