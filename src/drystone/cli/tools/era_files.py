"""What the era tools read from and write to: a metadata device or a copy of one, and dumps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from drystone.base.errors import BusyError, DamagedError
from drystone.cli.tools.metadata_files import name_file
from drystone.cli.tools.streams import Peeked, open_input

if TYPE_CHECKING:
    from drystone.formats.era.parts import Part
    from drystone.formats.era.superblock import Superblock
    from drystone.kernel.blockdev import BlockDevice

input_argument = click.argument("input", metavar="INPUT", type=click.Path())

snapshot_option = click.option(
    "-m", "--metadata-snapshot", "held", is_flag=True, help="Read the held metadata snapshot, not the live metadata."
)


@contextlib.contextmanager
def open_era(file: str, *, held: bool) -> Iterator[tuple[BlockDevice, Superblock]]:
    """The device and the superblock to start from; errors name the file.

    The live metadata is read only while nobody else can write it; a held snapshot holds still.

    :raises BusyError: an era device uses it. :raises DamagedError: it is no era metadata, or is damaged.
    """
    from drystone.formats.era.superblock import read_held_superblock, read_superblock

    with open_metadata(file, exclusive=not held) as device:
        yield device, read_held_superblock(device) if held else read_superblock(device)


@contextlib.contextmanager
def open_metadata(file: str, *, exclusive: bool) -> Iterator[BlockDevice]:
    """The device, for reading; what is found damaged in it is said with the file's name.

    :raises BusyError: an era device uses it, and `exclusive` was asked for.
    """
    from drystone.kernel.blockdev import open_device

    try:
        opened = open_device(file, exclusive=exclusive)
    except BusyError as error:
        hint = "take a metadata snapshot of the era device and read it with --metadata-snapshot"
        raise BusyError(error.message, hint=hint, **error.facts) from error
    with opened as device:
        try:
            yield device
        except DamagedError as error:
            raise name_file(error, file) from error


@contextlib.contextmanager
def read_dump(file: str) -> Iterator[Iterator[Part]]:
    """The parts of an XML or JSON dump; errors name the file.

    :raises NotFoundError: no such file. :raises DamagedError: while the parts are taken: it is no dump.
    """
    try:
        with open_input(file) as opened:
            source = Peeked(opened)
            if source.is_json:
                from drystone.formats.era.document import parse_json, read_document

                yield parse_json(read_document(source))
            else:
                from drystone.formats.era.parse import parse_xml

                yield parse_xml(source)
    except DamagedError as error:
        raise name_file(error, file) from error
