"""`drystone era`: devices that record which of their blocks were written when, and their metadata."""

from __future__ import annotations

import click

from drystone.cli.lazy import Lazy, LazyGroup
from drystone.cli.output import HELP
from drystone.cli.start_up import spare_numpy
from drystone.cli.tools.table import list_verbs

VERBS = {
    **list_verbs("era"),
    "create": Lazy("drystone.cli.era_device:create", "Put an era target over a device."),
    "status": Lazy("drystone.cli.era_device:status", "Print the current era, space and the held metadata snapshot."),
    "checkpoint": Lazy("drystone.cli.era_device:checkpoint", "Begin a new era; print its number."),
    "snapshot": Lazy("drystone.cli.era_device:snapshot", "Hold a snapshot of the metadata, for reading."),
    "drop": Lazy("drystone.cli.era_device:drop", "Drop the metadata snapshot."),
    "remove": Lazy("drystone.cli.era_device:remove", "Take the era target away again."),
    "changed": Lazy("drystone.cli.era_changed:changed", "Print the byte ranges written since an era."),
    "picture": Lazy("drystone.cli.era_picture:picture", "Draw a device: when each region was last written."),
    "damage": Lazy(
        "drystone.cli.metadata_damage:era_damage", "Damage a copy of era metadata on purpose, for drills and tests."
    ),
}


@click.group(cls=LazyGroup, lazy=VERBS, context_settings=HELP)
def era() -> None:
    """dm-era: which blocks were written since when. Devices, and their metadata read, checked, dumped, repaired.

    The verbs that thin-provisioning-tools has too take its flags and give its output and exit codes.

    \b
    Examples:
      drystone era create db --metadata /dev/vg/dbmeta --origin /dev/vg/db --block-size 64k
      drystone era changed --since 4 db
      drystone era check /dev/vg/dbmeta
    """
    spare_numpy()
