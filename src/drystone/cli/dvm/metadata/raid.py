"""Mutators of raid sets. New ones: `volumes.py`."""

from __future__ import annotations

import click

from drystone.base.errors import UsageError
from drystone.cli.dvm.metadata.document import DEVICES, group_options, mutate, seed_option, space_options
from drystone.cli.dvm.plain.mutators import ids
from drystone.cli.dvm.tool import Tool


@click.command(cls=Tool, epilog=DEVICES)
@group_options
@seed_option
@space_options
@click.option(
    "--legs", type=click.IntRange(2), default=2, show_default=True, help="All legs, the one there is included."
)
@click.argument("name")
def mirror(file: str, seed: str | None, policy: str, devices: tuple[str, ...], legs: int, name: str) -> None:
    """Make a raid1 of the linear volume NAME. It keeps its data, which is copied to the new legs while it is in use.

    \b
    Example:
      dvm metadata mirror db --on /dev/sdc < vg.json > new.json
    """
    from drystone.dvm.metadata import raid

    mutate(file, lambda group: raid.mirror(group, name, ids(seed), legs=legs, policy=policy, devices=devices))


@click.command(cls=Tool)
@group_options
@click.option("--keep", type=click.IntRange(0), default=0, show_default=True, help="The number of the leg that stays.")
@click.argument("name")
def unmirror(file: str, keep: int, name: str) -> None:
    """Make a linear volume of the raid1 NAME again: one leg stays.

    \b
    Example:
      dvm metadata unmirror db < vg.json > new.json
    """
    from drystone.dvm.metadata import raid

    mutate(file, lambda group: raid.unmirror(group, name, keep=keep))


@click.command("add-leg", cls=Tool, epilog=DEVICES)
@group_options
@seed_option
@space_options
@click.option("--count", type=click.IntRange(1), default=1, show_default=True, help="How many.")
@click.argument("name")
def add_leg(file: str, seed: str | None, policy: str, devices: tuple[str, ...], count: int, name: str) -> None:
    """Give the raid1 NAME one leg more, or several. They are rebuilt from the others while it is in use.

    When they are (dvm report lvs --live says 100 percent), note it with `dvm metadata settle`.

    \b
    Example:
      dvm metadata add-leg db --on /dev/sdd < vg.json > new.json
    """
    from drystone.dvm.metadata import raid

    mutate(file, lambda group: raid.add_legs(group, name, ids(seed), count=count, policy=policy, devices=devices))


@click.command("drop-leg", cls=Tool, epilog=DEVICES)
@group_options
@click.option("--leg", "numbers", type=click.IntRange(0), multiple=True, metavar="NUMBER", help="Repeatable.")
@click.option("--on", "devices", multiple=True, metavar="DEVICE", help="The legs that are on it; repeatable.")
@click.argument("name")
def drop_leg(file: str, numbers: tuple[int, ...], devices: tuple[str, ...], name: str) -> None:
    """Take legs away from the raid1 NAME. Two have to stay; `dvm metadata unmirror` keeps a single one.

    \b
    Example:
      dvm metadata drop-leg db --on /dev/sdc < vg.json > new.json
    """
    from drystone.dvm.groups.group import Group
    from drystone.dvm.metadata import raid

    if bool(numbers) == bool(devices):
        raise UsageError("one of --leg and --on is needed", hint="dvm report segments --parts shows where legs are")

    def change(group: Group) -> Group:
        return raid.drop_legs(group, name, numbers or raid.legs_on(group, name, devices))

    mutate(file, change)


@click.command(cls=Tool, epilog=DEVICES)
@group_options
@seed_option
@space_options
@click.option("--lost", multiple=True, required=True, metavar="DEVICE", help="A device that is lost; repeatable.")
@click.argument("name")
def repair(
    file: str, seed: str | None, policy: str, devices: tuple[str, ...], lost: tuple[str, ...], name: str
) -> None:
    """Give the raid set NAME new legs in place of those on lost devices. They are rebuilt from the others.

    When they are (dvm report lvs --live says 100 percent), note it with `dvm metadata settle`.

    \b
    Example:
      dvm metadata repair db --lost /dev/sdc --on /dev/sdd < vg.json > new.json
    """
    from drystone.dvm.metadata import raid

    mutate(file, lambda group: raid.repair(group, name, lost, ids(seed), policy=policy, devices=devices))


@click.command(cls=Tool)
@group_options
@click.argument("name")
def settle(file: str, name: str) -> None:
    """Note that the new legs of the raid set NAME have been rebuilt.

    \b
    Example:
      dvm metadata settle db < vg.json > new.json
    """
    from drystone.dvm.metadata import raid

    mutate(file, lambda group: raid.settled(group, name))
