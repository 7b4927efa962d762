"""What `thin_ls` does."""

from __future__ import annotations

from drystone.cli.output import print_json, print_line
from drystone.cli.tools.plain.thin_input import open_thin


def run_thin_ls(file: str, fields: str | None, snapshot: str, compat: str, *, no_headers: bool, as_json: bool) -> int:
    """Print the table; the exit code."""
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
        return 0
    for line in format_table(chosen, devices, size, headers=not no_headers, old=compat == "0.9"):
        print_line(line.removesuffix("\n"))
    return 0
