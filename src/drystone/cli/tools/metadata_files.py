"""What the tools that write metadata write it to, out of what; and errors that name the file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from drystone.base.errors import ExhaustedError, NotFoundError
from drystone.cli.output import Function
from drystone.cli.tools.plain.failures import name_file

if TYPE_CHECKING:
    from drystone.kernel.blockdev import BlockDevice


def source_option(help_text: str) -> Callable[[Function], Function]:
    """-i, as `source`."""
    return click.option("-i", "--input", "source", metavar="FILE", type=click.Path(), required=True, help=help_text)


target_option = click.option(
    "-o",
    "--output",
    "target",
    metavar="FILE",
    type=click.Path(),
    required=True,
    help="A device, or a file that exists.",
)
"""-o, as `target`: see open_target."""


@contextlib.contextmanager
def open_target(file: str) -> Iterator[BlockDevice]:
    """A device, or a file that exists, to write metadata to; nobody else may use it.

    :raises NotFoundError: no such path. :raises BusyError: it is in use. :raises ExhaustedError: it is too small; the
        message names the file.
    """
    from drystone.kernel.blockdev import open_device
    from drystone.kernel.identity import refuse_loops

    try:
        refuse_loops(file)
        opened = open_device(file, write=True, exclusive=True)
    except NotFoundError as error:
        raise NotFoundError(error.message, hint="make the file first, as large as the metadata device") from error
    with opened as device:
        try:
            yield device
        except ExhaustedError as error:
            raise name_file(error, file) from error
