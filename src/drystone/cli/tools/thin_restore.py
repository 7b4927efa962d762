"""`thin_restore`: thin metadata out of a dump."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from drystone.base.errors import DamagedError
from drystone.cli.output import json_option, print_json
from drystone.cli.tools.command import quiet_option, tool
from drystone.cli.tools.metadata_files import open_target, source_option, target_option
from drystone.cli.tools.plain.failures import name_file
from drystone.cli.tools.streams import Peeked, open_input, refuse_same
from drystone.cli.tools.thin_files import check_block_size, override_options

if TYPE_CHECKING:
    from drystone.formats.thin.parse import DumpPart


@tool("thin_restore")
@source_option("The XML or JSON; - is stdin.")
@target_option
@override_options
@quiet_option
@json_option
def thin_restore(
    source: str,
    target: str,
    transaction_id: int | None,
    data_block_size: int | None,
    nr_data_blocks: int | None,
    *,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write thin metadata out of an XML or JSON dump.

    The output must be a device or a file that exists, and not be in use; what is on it is lost. What the dump shares
    between devices is shared again. The superblock is written last: when a restore fails after it began to write, the
    output holds no metadata.

    \b
    Examples:
      drystone thin restore -i meta.xml -o /dev/vg/meta
      drystone thin dump --json old.img | drystone thin restore -i - -o new.img
    """
    from drystone.formats.thin.restore import Overrides, restore

    overrides = Overrides(transaction_id, data_block_size, nr_data_blocks)
    check_block_size(data_block_size)
    refuse_same(source, target)
    with read_dump(source) as parts, open_target(target) as device:
        try:
            superblock = restore(device, parts, overrides)
        except DamagedError as error:
            raise (error if "file" in error.facts else name_file(error, source)) from error
    facts = {
        "output": target,
        "transaction": superblock.transaction_id,
        "data_blocks": superblock.data_space_map.nr_blocks,
        "data_blocks_used": superblock.data_space_map.nr_allocated,
        "metadata_blocks": superblock.metadata_space_map.nr_blocks,
        "metadata_blocks_used": superblock.metadata_space_map.nr_allocated,
    }
    if as_json:
        print_json(facts)
    elif not quiet:
        click.echo(
            f"{target}: transaction {facts['transaction']}, {facts['metadata_blocks_used']} metadata blocks used"
        )


@contextlib.contextmanager
def read_dump(file: str) -> Iterator[Iterator[DumpPart]]:
    """The parts of an XML or JSON dump; errors name the file.

    :raises NotFoundError: no such file. :raises DamagedError: while the parts are taken: it is no dump.
    """
    with open_input(file) as opened:
        source = Peeked(opened)
        if source.is_json:
            from drystone.formats.thin.parse_json import parse_json

            yield _name_errors(parse_json(source), file)
        else:
            from drystone.formats.thin.parse import parse_xml

            yield _name_errors(parse_xml(source), file)


def _name_errors(parts: Iterator[DumpPart], file: str) -> Iterator[DumpPart]:
    try:
        yield from parts
    except DamagedError as error:
        raise name_file(error, file) from error
