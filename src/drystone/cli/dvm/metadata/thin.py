"""Mutators of thin pools and thin volumes. New snapshots of these: `snapshots.py`."""

from __future__ import annotations

import click

from drystone.cli.dvm.metadata.document import (
    DEVICES,
    SIZE,
    group_options,
    join_option,
    mutate,
    seed_option,
    space_options,
    tags_option,
)
from drystone.cli.dvm.plain import mutators
from drystone.cli.dvm.tool import Tool


@click.command("thin-pool", cls=Tool, epilog=DEVICES)
@group_options
@seed_option
@space_options
@tags_option
@click.option("--size", type=SIZE, required=True, help="Room for data.")
@click.option("--block", type=SIZE, default="64k", show_default=True, help="A multiple of 64k.")
@click.option("--metadata-size", type=SIZE, help="64 bytes a block without, 2m at least.")
@click.option("--no-zeroing", is_flag=True, help="New blocks are not filled with zeros first.")
@click.option("--error-if-full", is_flag=True, help="Writes that find no room fail at once.")
@click.argument("name")
def thin_pool(
    file: str,
    seed: str | None,
    policy: str,
    devices: tuple[str, ...],
    tags: tuple[str, ...],
    size: int,
    block: int,
    metadata_size: int | None,
    no_zeroing: bool,
    error_if_full: bool,
    name: str,
) -> None:
    """NAME, a new pool for thin volumes.

    \b
    Example:
      dvm metadata thin-pool pool --size 100g < vg.json
    """
    from drystone.dvm.metadata.thin import thin_pool as make

    mutate(
        file,
        lambda group: make(
            group,
            name,
            size,
            mutators.ids(seed),
            block=block,
            metadata_size=metadata_size,
            policy=policy,
            devices=devices,
            tags=tags,
            no_zeroing=no_zeroing,
            error_if_full=error_if_full,
        ),
    )


@click.command(cls=Tool)
@group_options
@seed_option
@tags_option
@join_option
@click.option("--size", type=SIZE, required=True, help="What each seems to have; space is taken when it is written.")
@click.argument("pool")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def thin(
    file: str, seed: str | None, tags: tuple[str, ...], join: bool, size: int, pool: str, names: tuple[str, ...]
) -> None:
    """New thin volumes NAME... in POOL, all in one transaction of it.

    The pool must be told (dvm transact update --activate) before its next change, or that has to --join this one.

    \b
    Example:
      dvm metadata thin pool db log --size 10g < vg.json
    """
    mutate(file, mutators.thin(pool, names, seed, tags, size, join=join))
