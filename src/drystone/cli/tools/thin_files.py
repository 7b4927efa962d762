"""What the thin tools read: a metadata device, or a copy of one in a file, live or from its reserved snapshot."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import click

from drystone.base.errors import (
    BusyError,
    DamagedError,
    MismatchError,
    NotFoundError,
    UnsupportedError,
    UsageError,
)
from drystone.cli.output import Function
from drystone.cli.tools.metadata_files import name_file

if TYPE_CHECKING:
    from drystone.formats.thin.superblock import Superblock
    from drystone.kernel.blockdev import BlockDevice

input_argument = click.argument("file", metavar="INPUT", type=click.Path())

LIVE = "live"
HELD = "held"


class _SnapshotOption(click.Option):
    """-m alone or --metadata-snap=BLOCK: what follows after a blank is the next argument and no value."""

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        parse: Callable[[list[str]], Any] = parser.parse_args

        def parse_args(args: list[str]) -> Any:
            end = args.index("--") if "--" in args else len(args)
            own = [f"--metadata-snap={HELD}" if word in self.opts else word for word in args[:end]]
            return parse(
                [word.replace("-m=", "--metadata-snap=", 1) if word.startswith("-m=") else word for word in own]
                + args[end:]
            )

        parser.parse_args = parse_args


def snapshot_option(function: Function) -> Function:
    """-m[=BLOCK], as `snapshot`: LIVE, HELD, or the number of the block."""
    return click.option(
        "-m",
        "--metadata-snap",
        "snapshot",
        cls=_SnapshotOption,
        default=LIVE,
        metavar="[=BLOCK]",
        help="Read the reserved metadata snapshot, of a pool in use too; at that block, if one is given.",
    )(function)


def override_options(function: Function) -> Function:
    """What a superblock is to say instead of what was found: `transaction_id`, `data_block_size`, `nr_data_blocks`."""
    for flag, least, metavar, help_text in (
        ("--nr-data-blocks", 0, "N", "Write this number of data blocks."),
        ("--data-block-size", 1, "SECTORS", "Write this data block size."),
        ("--transaction-id", 0, "N", "Write this transaction id."),
    ):
        function = click.option(flag, type=click.IntRange(min=least), metavar=metavar, help=help_text)(function)
    return function


def check_block_size(size: int | None) -> None:
    """:param size: of a data block, in sectors of 512 bytes. :raises UsageError: no pool can have it."""
    from drystone.formats.thin.layout import LARGEST_DATA_BLOCK, SMALLEST_DATA_BLOCK

    if size is not None and (not SMALLEST_DATA_BLOCK <= size <= LARGEST_DATA_BLOCK or size % SMALLEST_DATA_BLOCK):
        limits = f"{SMALLEST_DATA_BLOCK} to {LARGEST_DATA_BLOCK} sectors, a multiple of {SMALLEST_DATA_BLOCK}"
        raise UsageError(f"--data-block-size {size} is not possible", hint=limits)


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

    if snapshot not in {LIVE, HELD} and not snapshot.isdecimal():
        raise click.BadParameter(f"{snapshot!r} is no block number", param_hint="-m")
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
