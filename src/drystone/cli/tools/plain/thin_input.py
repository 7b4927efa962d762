"""What the thin tools read: a metadata device, or a copy of one in a file, live or from its reserved snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from drystone.base.errors import BusyError, DamagedError, MismatchError, NotFoundError, UnsupportedError
from drystone.cli.tools.plain.failures import name_file

if TYPE_CHECKING:
    from drystone.formats.thin.superblock import Superblock
    from drystone.kernel.blockdev import BlockDevice

LIVE = "live"
HELD = "held"


@contextlib.contextmanager
def open_thin(file: str, snapshot: str = LIVE) -> Iterator[tuple[BlockDevice, Superblock]]:
    """The device and the superblock to start from; errors name the file.

    The live metadata is read only while nobody else can write it; a reserved snapshot holds still.

    :param snapshot: LIVE, HELD, or the number of the block that the reserved snapshot must be at.
    :raises BusyError: a pool uses it. :raises DamagedError: it is no thin metadata, or is damaged.
    :raises NotFoundError: no snapshot is reserved. :raises MismatchError: it is at another block.
    """
    from drystone.formats.thin.superblock import read_held_superblock, read_superblock
    from drystone.kernel.blockdev import open_device

    try:
        with open_device(file, exclusive=snapshot == LIVE) as device:
            superblock = read_superblock(device) if snapshot == LIVE else read_held_superblock(device)
            if snapshot.isdecimal() and superblock.location != int(snapshot):
                raise MismatchError(f"the metadata snapshot is at block {superblock.location}, not at {snapshot}")
            yield device, superblock
    except BusyError as error:
        hint = "reserve a metadata snapshot of the active pool and read it with -m"
        raise BusyError(error.message, hint=hint, **error.facts) from error
    except (DamagedError, UnsupportedError, MismatchError) as error:
        raise name_file(error, file) from error
    except NotFoundError as error:
        raise (error if str(file) in error.message else name_file(error, file)) from error
