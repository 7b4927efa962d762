"""What the era tools read from: the options for a metadata device, and dumps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from drystone.base.errors import DamagedError
from drystone.cli.tools.plain.failures import name_file
from drystone.cli.tools.streams import Peeked, open_input

if TYPE_CHECKING:
    from drystone.formats.era.parts import Part

input_argument = click.argument("input", metavar="INPUT", type=click.Path())

snapshot_option = click.option(
    "-m", "--metadata-snapshot", "held", is_flag=True, help="Read the held metadata snapshot, not the live metadata."
)


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
