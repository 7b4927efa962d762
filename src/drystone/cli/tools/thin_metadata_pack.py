"""`thin_metadata_pack`: thin metadata as a small file, to send or to keep."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.base.errors import DamagedError, DrystoneError, ExistsError, RefusedError
from drystone.base.files import write_all
from drystone.cli.output import json_option, print_json
from drystone.cli.tools.command import tool
from drystone.cli.tools.plain.failures import name_file
from drystone.cli.tools.streams import open_output


@tool("thin_metadata_pack")
@click.option("-i", "--input", "source", required=True, type=click.Path(), metavar="DEV", help="Thin metadata.")
@click.option("-o", "--output", "target", required=True, type=click.Path(), metavar="FILE", help="File to write.")
@click.option("-f", "--force", is_flag=True, help="Write over a file that exists.")
@json_option
def thin_metadata_pack(source: str, target: str, *, force: bool, as_json: bool) -> None:
    """Pack thin metadata into a small file, without the blocks that hold nothing.

    The file is that of thin-provisioning-tools 1.x. Blocks are told by their checksums: damaged ones are left out,
    and their number is printed.

    \b
    Examples:
      drystone thin metadata-pack -i /dev/vg/meta -o meta.pack
      drystone thin metadata-pack -i broken.img -o meta.pack --force --json
    """
    from drystone.formats.thin.pack import Packed, iter_packed
    from drystone.kernel.blockdev import open_device
    from drystone.kernel.identity import share_storage

    path = Path(target)
    with open_device(source, exclusive=True) as device:
        if path.exists():
            if share_storage(source, target):
                raise RefusedError(f"{target} is the input, {source}")
            if not path.is_file():
                raise RefusedError(f"{target} is no plain file")
            if not force:
                raise ExistsError(f"{target} exists", hint="--force writes over it")
        tally: list[Packed] = []
        try:
            with open_output(target, durable=True) as file:
                for chunk in iter_packed(device, tally):
                    write_all(file.fileno(), chunk)
                if not tally[0].blocks:
                    raise DamagedError("no block of it is metadata", what="metadata", expected="some", found=0)
        except DrystoneError as error:
            raise name_file(error, source) from error
    (done,) = tally
    if as_json:
        size = path.stat().st_size
        print_json({"input": source, "output": target, "packed": done.blocks, "left_out": done.left_out, "size": size})
    elif done.left_out:
        click.echo(
            f"thin_metadata_pack: {source}: {done.left_out} blocks were left out: they are no sound metadata", err=True
        )
