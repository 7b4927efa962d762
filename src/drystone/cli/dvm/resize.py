"""`dvm resize`: a volume, and the file system on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.host import device_options, make_live_group
from drystone.cli.dvm.metadata.document import DEVICES, SIZE, space_options
from drystone.cli.dvm.tool import Tool, print_document

if TYPE_CHECKING:
    from drystone.dvm.configuration import Configuration


@click.command(cls=Tool, epilog=DEVICES)
@device_options
@space_options
@click.option("--size", type=SIZE, help="To this size.")
@click.option("--by", type=SIZE, help="Larger by so much.")
@click.option("--less", type=SIZE, help="Smaller by so much.")
@click.option("--dry-run", is_flag=True, help="Print the steps; take none.")
@click.option("--text", is_flag=True, help="Lines for people instead of JSON.")
@click.argument("group")
@click.argument("volume")
@click.pass_context
def resize(
    ctx: click.Context,
    configuration: Configuration,
    file: str | None,
    policy: str,
    devices: tuple[str, ...],
    size: int | None,
    by: int | None,
    less: int | None,
    dry_run: bool,
    text: bool,
    group: str,
    volume: str,
) -> None:
    """Give the active VOLUME of GROUP and the ext4 or xfs on it another size.

    Larger: the volume first, then the file system, in use or not (xfs only in use). Smaller: ext4 only, and not while
    it is mounted; the file system first, then the volume. A run that was cut short is finished by the same --size; one
    that failed says which that is.

    \b
    Examples:
      dvm resize vg home --by 100g
      dvm resize vg home --size 20g --dry-run --text
    """
    from drystone.dvm.transactions import resize as engine
    from drystone.dvm.transactions.file_systems import MachineFileSystems

    if sum(each is not None for each in (size, by, less)) != 1:
        raise UsageError("one of --size, --by and --less is needed")
    live = make_live_group(ctx, configuration, group, file)
    wish = engine.Wish(volume, size, by if less is None else -less, policy, devices)
    done = engine.resize(live, wish, MachineFileSystems(), dry_run=dry_run)
    if not text:
        print_document(done)
        return
    for step in done.steps:
        click.echo(step.what)
