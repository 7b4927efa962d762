"""`thin_ls`: the thin devices of a pool."""

from __future__ import annotations

import click

from drystone.cli.output import json_option
from drystone.cli.tools.command import compat_option, tool
from drystone.cli.tools.plain.thin_ls import run_thin_ls
from drystone.cli.tools.thin_files import input_argument, snapshot_option


@tool("thin_ls")
@input_argument
@click.option("-o", "--format", "fields", metavar="FIELDS", default=None, help="Fields to print, with commas between.")
@click.option("--no-headers", is_flag=True, help="Print no line with the names of the fields.")
@snapshot_option
@compat_option
@json_option
def thin_ls(file: str, fields: str | None, snapshot: str, compat: str, *, no_headers: bool, as_json: bool) -> None:
    """List thin devices with what they map, alone and shared.

    INPUT is a metadata device that no pool uses, or a copy of one; with -m also one in use.

    \b
    Fields: DEV, {MAPPED,EXCLUSIVE,SHARED} with _BLOCKS, _SECTORS, _BYTES or nothing after it, HIGHEST_BLOCK,
    HIGHEST_SECTOR, HIGHEST_BYTE, HIGHEST_MAPPED, TRANSACTION, CREATE_TIME, SNAP_TIME. Blocks that other devices map
    too are shared; to count them all mappings are read.

    \b
    Examples:
      drystone thin ls /dev/vg/meta
      drystone thin ls -m -o DEV,MAPPED,EXCLUSIVE,SHARED /dev/vg/meta
    """
    run_thin_ls(file, fields, snapshot, compat, no_headers=no_headers, as_json=as_json)
