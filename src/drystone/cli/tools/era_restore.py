"""`era_restore`: era metadata out of a dump."""

from __future__ import annotations

import click

from drystone.cli.output import json_option, print_json
from drystone.cli.tools.command import quiet_option, tool
from drystone.cli.tools.era_files import read_dump
from drystone.cli.tools.metadata_files import open_target, source_option, target_option
from drystone.cli.tools.streams import refuse_same


@tool("era_restore")
@source_option("The XML or JSON; - is stdin.")
@target_option
@quiet_option
@json_option
def era_restore(source: str, target: str, *, quiet: bool, as_json: bool) -> None:
    """Write era metadata out of an XML or JSON dump.

    The output must be a device or a file that exists, and not be in use; what is on it is lost. The superblock is
    written last: when a restore fails after it began to write, the output holds no metadata. What was written is
    checked before this says that it is done.

    \b
    Example:
      drystone era restore -i dbmeta.xml -o /dev/vg/dbmeta
    """
    from drystone.formats.era.check import check_metadata
    from drystone.formats.era.restore import write_parts

    refuse_same(source, target)
    with open_target(target) as device:
        with read_dump(source) as parts:
            superblock = write_parts(device, parts)
        check_metadata(device).refuse(target)
    if as_json:
        print_json({"nr_blocks": superblock.nr_blocks, "current_era": superblock.current_era, "output": target})
    elif not quiet:
        click.echo(f"{target}: {superblock.nr_blocks} blocks, current era {superblock.current_era}")
