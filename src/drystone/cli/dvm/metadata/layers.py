"""Mutators that lay a volume below a cache, a record of eras, or encryption, and take it out again."""

from __future__ import annotations

import click

from drystone.cli.dvm.metadata.document import DEVICES, SIZE, group_options, mutate, seed_option, space_options
from drystone.cli.dvm.plain.mutators import ids
from drystone.cli.dvm.tool import Tool

MODES = ("writethrough", "writeback", "passthrough")


@click.command(cls=Tool, epilog=DEVICES)
@group_options
@seed_option
@space_options
@click.option("--size", type=SIZE, required=True, help="Of the cache.")
@click.option("--block", type=SIZE, default="64k", show_default=True, help="A multiple of 32k.")
@click.option("--mode", type=click.Choice(MODES), default=MODES[0], show_default=True, help="As dm-cache has it.")
@click.argument("name")
def cache(
    file: str, seed: str | None, policy: str, devices: tuple[str, ...], size: int, block: int, mode: str, name: str
) -> None:
    """Put a cache before the volume NAME, mostly on a faster device.

    \b
    Example:
      dvm metadata cache db --size 4g --on /dev/nvme0n1 < vg.json
    """
    from drystone.dvm.metadata import layers

    mutate(
        file,
        lambda group: layers.cache(
            group, name, size, ids(seed), block=block, mode=mode, policy=policy, devices=devices
        ),
    )


@click.command("change-cache", cls=Tool)
@group_options
@click.option("--mode", type=click.Choice(MODES), help="Another mode.")
@click.option("--policy", type=click.Choice(("smq", "cleaner")), help="cleaner writes back all that is dirty.")
@click.argument("name")
def change_cache(file: str, mode: str | None, policy: str | None, name: str) -> None:
    """Another mode or policy for the cache of the volume NAME.

    \b
    Example:
      dvm metadata change-cache db --policy cleaner < vg.json > new.json
    """
    from drystone.dvm.metadata import layers

    mutate(file, lambda group: layers.change_cache(group, name, mode=mode, policy=policy))


@click.command(cls=Tool)
@group_options
@click.option("--clean", is_flag=True, help="Nothing in it is dirty: dvm report lvs --live has said so.")
@click.argument("name")
def uncache(file: str, clean: bool, name: str) -> None:
    """Take the cache of the volume NAME away.

    \b
    Example:
      dvm metadata uncache db < vg.json > new.json
    """
    from drystone.dvm.metadata import layers

    mutate(file, lambda group: layers.uncache(group, name, is_clean=clean))


@click.command(cls=Tool, epilog=DEVICES)
@group_options
@seed_option
@space_options
@click.option("--block", type=SIZE, default="64k", show_default=True, help="What is recorded as a whole.")
@click.argument("name")
def era(file: str, seed: str | None, policy: str, devices: tuple[str, ...], block: int, name: str) -> None:
    """From now on, record in which era each block of the volume NAME is written.

    \b
    Example:
      dvm metadata era db < vg.json > new.json
    """
    from drystone.dvm.metadata import layers

    mutate(file, lambda group: layers.era(group, name, ids(seed), block=block, policy=policy, devices=devices))


@click.command(cls=Tool)
@group_options
@click.argument("name")
def unera(file: str, name: str) -> None:
    """Take the record of eras of the volume NAME away. Its data stays.

    \b
    Example:
      dvm metadata unera db < vg.json > new.json
    """
    from drystone.dvm.metadata import layers

    mutate(file, lambda group: layers.unera(group, name))


@click.command(cls=Tool)
@group_options
@seed_option
@click.option("--key", required=True, metavar="TYPE:DESCRIPTION", help="Where the kernel's keyring has it: logon:db.")
@click.option("--cipher", default="aes-xts-plain64", show_default=True, help="As dm-crypt spells it.")
@click.option("--key-size", type=click.IntRange(1, 512), default=64, show_default=True, help="Bytes.")
@click.option("--lose-data", is_flag=True, help="What the volume holds now is unreadable afterwards.")
@click.argument("name")
def crypt(file: str, seed: str | None, key: str, cipher: str, key_size: int, lose_data: bool, name: str) -> None:
    """Encrypt the volume NAME from now on. The key is put into the kernel's keyring by other means, never in here.

    \b
    Example:
      dvm metadata crypt db --key logon:db --lose-data < vg.json > new.json
    """
    from drystone.dvm.metadata import layers

    mutate(
        file,
        lambda group: layers.crypt(group, name, key, ids(seed), cipher=cipher, key_size=key_size, lose_data=lose_data),
    )
