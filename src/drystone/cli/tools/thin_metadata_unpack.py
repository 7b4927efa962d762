"""`thin_metadata_unpack`: what thin_metadata_pack made, as metadata again."""

from __future__ import annotations

from pathlib import Path

import click

from drystone.base.errors import DamagedError, DrystoneError, ExhaustedError, ExistsError, NotFoundError, RefusedError
from drystone.cli.output import json_option, print_json
from drystone.cli.tools.command import tool
from drystone.cli.tools.plain.failures import name_file


@tool("thin_metadata_unpack")
@click.option("-i", "--input", "source", required=True, type=click.Path(), metavar="FILE", help="Packed metadata.")
@click.option("-o", "--output", "target", required=True, type=click.Path(), metavar="DEV", help="Device or file.")
@click.option("-f", "--force", is_flag=True, help="Write over metadata that is there.")
@json_option
def thin_metadata_unpack(source: str, target: str, *, force: bool, as_json: bool) -> None:
    """Unpack what thin_metadata_pack made, ours or that of thin-provisioning-tools 1.x.

    A file is made, or made as long as the metadata was; a device must be as large. Blocks that the packed file lacks
    are zeros in a file, and left as they are on a device.

    \b
    Examples:
      drystone thin metadata-unpack -i meta.pack -o metadata.img
      drystone thin metadata-unpack -i meta.pack -o /dev/vg/meta --force
    """
    from drystone.formats.pdata.blocks import BLOCK
    from drystone.formats.thin.pack import read_header, unpack
    from drystone.kernel.blockdev import open_device
    from drystone.kernel.identity import share_storage

    path = Path(target)
    if not Path(source).exists():
        raise NotFoundError(f"there is no {source}")
    if path.exists() and share_storage(source, target):
        raise RefusedError(f"{target} is the input, {source}")
    with Path(source).open("rb") as file:
        try:
            blocks = read_header(file)
            _make_room(path, blocks * BLOCK, force=force)
            with open_device(target, write=True, exclusive=True) as disk:
                if disk.size < blocks * BLOCK:
                    raise ExhaustedError(f"{target} has {disk.size} bytes, the metadata needs {blocks * BLOCK}")
                done = unpack(file, blocks, disk)
        except DamagedError as error:
            raise name_file(error, source) from error
    if as_json:
        print_json({"input": source, "output": target, "unpacked": done.blocks, "size": blocks * BLOCK})


def _make_room(path: Path, size: int, *, force: bool) -> None:
    """Refuse to write over metadata, and have a plain file as long as it must be, all zeros."""
    from drystone.kernel.identity import refuse_loops

    if path.exists() and not force and _holds_metadata(str(path)):
        raise ExistsError(f"{path} holds thin metadata", hint="--force writes over it")
    if path.is_file():
        refuse_loops(str(path))
    if not path.exists() or path.is_file():
        with path.open("wb") as file:
            file.truncate(size)


def _holds_metadata(target: str) -> bool:
    from drystone.formats.thin.superblock import read_superblock
    from drystone.kernel.blockdev import open_device

    with open_device(target, exclusive=True) as device:
        try:
            read_superblock(device)
        except DrystoneError:
            return False
    return True
