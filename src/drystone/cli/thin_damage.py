"""`drystone thin damage`: every kind of damage to dm-thin metadata, on purpose, to a copy."""

from __future__ import annotations

from typing import Any

import click

from drystone.cli.metadata_damage import HELP, damage_options, run_damage


@click.command(context_settings=HELP)
@damage_options
def damage(file: str | None, **options: Any) -> None:
    """Damage a copy of thin metadata on purpose: for drills of a repair, and for tests of checks.

    FILE is a metadata device that is in no use, or a copy of one; it is only read. It must be sound. The same kind,
    seed and FILE give the same damage. Checksums are put right where the damage is meant to lie deeper. All that was
    changed, but such checksums, is printed; --json also tells which blocks a check may name for it.

    \b
    Examples:
      drystone thin damage --list
      drystone thin damage --list metadata.img
      drystone thin damage --kind pointer-loop --seed 3 -o damaged.img metadata.img
      drystone thin damage --flips 0.0001 --json -o damaged.img metadata.img
    """
    run_damage("thin", file, **options)
