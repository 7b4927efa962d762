"""`thin_ls`: the thin devices of a pool."""

from __future__ import annotations

import click

from drystone.cli.output import json_option, print_json
from drystone.cli.tools.command import compat_option, tool
from drystone.cli.tools.thin_files import input_argument, open_thin, snapshot_option


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
    from drystone.formats.thin.ls import list_devices
    from drystone.formats.thin.ls_text import DEFAULT, FIELDS, find_fields, format_table
    from drystone.formats.thin.superblock import read_superblock

    chosen = find_fields(fields if fields is not None else ",".join(FIELDS if as_json else DEFAULT))
    with open_thin(file, snapshot) as (device, superblock):
        live = superblock if superblock.location == 0 else read_superblock(device)
        devices = list_devices(
            device,
            superblock,
            live.data_space_map.nr_blocks,
            count=any(field.counted for field in chosen),
            highest=any(field.highest for field in chosen),
        )
    size = superblock.data_block_bytes
    if as_json:
        print_json([{field.key: field.get(each, size) for field in chosen} for each in devices])
        return
    for line in format_table(chosen, devices, size, headers=not no_headers, old=compat == "0.9"):
        click.echo(line, nl=False)
