"""`drystone volume resize` and `trim`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from drystone.base.errors import DrystoneError
from drystone.base.sizes import format_size, parse_size
from drystone.cli.output import json_option, print_json, print_table
from drystone.cli.preview import dry_run_option, print_previews
from drystone.cli.volume.asking import call, print_result, read_list, socket_option


@click.command()
@click.argument("name", metavar="VOLUME")
@click.argument("size", metavar="SIZE")
@click.option("--no-filesystem", is_flag=True, help="Only the volume; what is on it is left to you.")
@dry_run_option
@json_option
@socket_option
def resize(name: str, size: str, no_filesystem: bool, dry_run: bool, as_json: bool, socket: str) -> None:
    """Make a volume as large as SIZE, in use or not, and the ext4 or xfs on it. None is made smaller.

    SIZE is bytes, or a whole number with k, m, g or t (powers of 1024). A daemon that is killed in between goes on with
    it when it starts. If the file system cannot be grown, the volume keeps its new size; the same command tries again.

    \b
    Examples:
      drystone volume resize db 20G --dry-run
      drystone volume resize db 20G
    """
    body = {
        "VolumeUUID": name,
        "Size": parse_size(size),
        "KeepFilesystem": no_filesystem,
        "DryRun": dry_run,
        "Verbose": as_json,
    }
    answer = call(socket, "POST", "/volumes/resize", body)
    if dry_run:
        print_previews([answer], as_json=as_json)
    else:
        print_result(answer)


@click.command()
@click.argument("names", nargs=-1, metavar="[VOLUME...]")
@json_option
@socket_option
def trim(names: Sequence[str], as_json: bool, socket: str) -> None:
    """Give free blocks of mounted volumes back to their pool; without VOLUME, of all. Says how many bytes that were.

    What was deleted in a file system takes room in the pool until then. ext4 gives back once, until it is mounted anew,
    what stayed free. --json prints an array of objects: name, bytes, problem ("" when it went well).

    \b
    Examples:
      drystone volume trim
      drystone volume trim db --json
    """
    found = read_list(call(socket, "POST", "/volumes/trim", {"Names": names}))
    if as_json:
        print_json(found)
    else:
        print_table(
            ("name", "given back"), [(each["name"], each["problem"] or format_size(each["bytes"])) for each in found]
        )
    if failed := [each["name"] for each in found if each["problem"]]:
        raise DrystoneError(f"could not be trimmed: {', '.join(failed)}")
