"""Options of the thin tools: what they read, and what a superblock is to say instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from drystone.base.errors import UsageError
from drystone.cli.output import Function
from drystone.cli.tools.plain.thin_input import HELD, LIVE

input_argument = click.argument("file", metavar="INPUT", type=click.Path())


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


def _check_snapshot(_context: click.Context, _option: click.Parameter, snapshot: str) -> str:
    """:raises click.BadParameter: it is none of those that open_thin takes."""
    if snapshot not in {LIVE, HELD} and not snapshot.isdecimal():
        raise click.BadParameter(f"{snapshot!r} is no block number", param_hint="-m")
    return snapshot


def snapshot_option(function: Function) -> Function:
    """-m[=BLOCK], as `snapshot`: LIVE, HELD, or the number of the block."""
    return click.option(
        "-m",
        "--metadata-snap",
        "snapshot",
        cls=_SnapshotOption,
        default=LIVE,
        callback=_check_snapshot,
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
