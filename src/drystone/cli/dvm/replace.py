"""`dvm replace`: a device of a group goes, and what was on it is elsewhere afterwards."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.host import device_options, make_live_group, make_place
from drystone.cli.dvm.metadata.document import DEVICES, seed_option, space_options
from drystone.cli.dvm.plain.mutators import ids
from drystone.cli.dvm.tool import Tool, print_document
from drystone.cli.output import print_line

if TYPE_CHECKING:
    from drystone.dvm.configuration import Configuration


@click.command(cls=Tool, epilog=DEVICES.replace("without any, all are allowed", "without any, all others are"))
@device_options
@seed_option
@space_options
@click.option(
    "--lost", is_flag=True, help="Do not read it: rebuild raid sets from their other legs. So if it is missing."
)
@click.option("--no-wait", is_flag=True, help="Do not wait for what is copied; the same command goes on later.")
@click.option("--dry-run", is_flag=True, help="Print the next step; take none.")
@click.option("--text", is_flag=True, help="Lines for people instead of JSON.")
@click.argument("group")
@click.argument("device")
@click.pass_context
def replace(
    ctx: click.Context,
    configuration: Configuration,
    file: str | None,
    seed: str | None,
    policy: str,
    devices: tuple[str, ...],
    lost: bool,
    no_wait: bool,
    dry_run: bool,
    text: bool,
    group: str,
    device: str,
) -> None:
    """Replace DEVICE (path or uuid) of GROUP: bring all that is on it to others, in use, and take it out.

    A new one is added before (dvm discover add, dvm transact expand, dvm metadata add-device). Extents of a device that
    is there are moved; of one that is missing, raid sets get new legs, which are rebuilt. In the end the device belongs
    to the group no more. Each step is a transaction; whatever ends this, the same command goes on from there.

    \b
    Examples:
      dvm replace vg /dev/sdb --on /dev/sde
      dvm replace vg /dev/sdb --dry-run --text
    """
    from drystone.base.clock import SystemClock
    from drystone.dvm.discovery.membership import remove_device
    from drystone.dvm.planning.replacement import Wish
    from drystone.dvm.transactions import replace as engine

    if file is not None:
        raise UsageError("the devices change meanwhile and are looked for", hint="-c FILE says where; not --devices")
    live = make_live_group(ctx, configuration, group, None)
    wait_s = configuration.common.wait_s
    exchange = engine.Exchange(
        live,
        ids(seed),
        SystemClock(),
        lambda uuid: (remove_device(make_place(configuration), group, uuid, wait_s=wait_s), None)[1],
        partial(print_line, err=True) if text else lambda _: None,
        wait=not no_wait,
    )
    done = engine.replace_device(exchange, device, Wish("", lost, devices, policy), dry_run=dry_run)
    if not text:
        print_document(done)
        return
    for step in done.steps:
        click.echo(step)
