"""What the era tools read from and write to: a metadata device or a copy of one, and dumps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from drystone.base.errors import BusyError, DamagedError, ExhaustedError, NotFoundError
from drystone.cli.tools.streams import open_input

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
        with open_device(file, exclusive=exclusive) as device:
            yield device
    except DamagedError as error:
        raise DamagedError(f"{file}: {error.message}", hint=error.hint, **{**error.facts, "file": file}) from error
    except BusyError as error:
        hint = "take a metadata snapshot of the era device and read it with --metadata-snapshot"
        raise BusyError(error.message, hint=hint, **error.facts) from error


@contextlib.contextmanager
def open_output(file: str) -> Iterator[BlockDevice]:
    """A device, or a file that exists, to write metadata to; nobody else may use it.

    :raises NotFoundError: no such path. :raises BusyError: it is in use.
    """
    from drystone.kernel.blockdev import open_device
    from drystone.kernel.identity import refuse_loops

    try:
        refuse_loops(file)
        with open_device(file, write=True, exclusive=True) as device:
            yield device
    except NotFoundError as error:
        raise NotFoundError(error.message, hint="make the file first, as large as the metadata device") from error
    except ExhaustedError as error:
        raise ExhaustedError(f"{file}: {error.message}", hint=error.hint, **error.facts) from error


@contextlib.contextmanager
def read_dump(file: str) -> Iterator[Iterator[Part]]:
    """The parts of an XML or JSON dump; errors name the file.

    :raises NotFoundError: no such file. :raises DamagedError: while the parts are taken: it is no dump.
    """
    from drystone.formats.era.parse import parse_xml

    try:
        with open_input(file) as source:
            first = source.read(1)
            if first == b"{":
                from drystone.formats.era.document import parse_json, read_document

                yield parse_json(read_document(source, first))
            else:
                yield parse_xml(source, first)
    except DamagedError as error:
        raise DamagedError(f"{file}: {error.message}", hint=error.hint, **{**error.facts, "file": file}) from error
