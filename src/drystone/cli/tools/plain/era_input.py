"""What the era tools read: a metadata device, or a copy of one in a file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from drystone.base.errors import BusyError, DamagedError
from drystone.cli.tools.plain.failures import name_file

if TYPE_CHECKING:
    from drystone.formats.era.superblock import Superblock
    from drystone.kernel.blockdev import BlockDevice


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
