"""`dvm metadata`: the mutators. Each reads a volume group document and prints the new one; nothing else is touched."""

from __future__ import annotations

import click

from drystone.cli.lazy import Lazy, LazyGroup
from drystone.cli.output import HELP

_HERE = "drystone.cli.dvm.metadata"

MUTATORS = {
    "init": Lazy(f"{_HERE}.devices:init", "A new group over the devices that were found."),
    "add-device": Lazy(f"{_HERE}.devices:add_device", "Take in devices that were found."),
    "drop-device": Lazy(f"{_HERE}.devices:drop_device", "Let a device go that holds nothing."),
    "change-device": Lazy(f"{_HERE}.devices:change_device", "Open or close a device for new extents."),
    "refresh-devices": Lazy(f"{_HERE}.devices:refresh_devices", "Note where devices are now, and how large."),
    "create": Lazy(f"{_HERE}.volumes:create", "A new volume: linear, striped, raid1, raid5, raid6, raid10."),
    "extend": Lazy(f"{_HERE}.volumes:extend", "Make a volume larger."),
    "reduce": Lazy(f"{_HERE}.volumes:reduce", "Make a volume smaller."),
    "rename": Lazy(f"{_HERE}.volumes:rename", "Call a volume otherwise."),
    "rename-group": Lazy(f"{_HERE}.volumes:rename_group", "Call the group otherwise."),
    "remove": Lazy(f"{_HERE}.volumes:remove", "Remove volumes."),
    "tag": Lazy(f"{_HERE}.volumes:tag", "Add and take away tags."),
    "snapshot": Lazy(f"{_HERE}.snapshots:snapshot", "A snapshot of a volume."),
    "merge": Lazy(f"{_HERE}.snapshots:merge", "Let a volume go back to its classic snapshot."),
    "rollback": Lazy(f"{_HERE}.snapshots:rollback", "Let a thin volume go back to its snapshot."),
    "thin-pool": Lazy(f"{_HERE}.thin:thin_pool", "A pool for thin volumes."),
    "thin": Lazy(f"{_HERE}.thin:thin", "New thin volumes."),
    "mirror": Lazy(f"{_HERE}.raid:mirror", "Make a raid1 of a linear volume."),
    "unmirror": Lazy(f"{_HERE}.raid:unmirror", "Keep one leg of a raid1 as a linear volume."),
    "add-leg": Lazy(f"{_HERE}.raid:add_leg", "Give a raid1 a leg more."),
    "drop-leg": Lazy(f"{_HERE}.raid:drop_leg", "Take a leg from a raid1."),
    "repair": Lazy(f"{_HERE}.raid:repair", "Give a raid set new legs for lost ones."),
    "settle": Lazy(f"{_HERE}.raid:settle", "Note that new legs have been rebuilt."),
    "cache": Lazy(f"{_HERE}.layers:cache", "Put a cache before a volume."),
    "change-cache": Lazy(f"{_HERE}.layers:change_cache", "Another mode or policy for a cache."),
    "uncache": Lazy(f"{_HERE}.layers:uncache", "Take a cache away."),
    "era": Lazy(f"{_HERE}.layers:era", "Record in which era each block is written."),
    "unera": Lazy(f"{_HERE}.layers:unera", "Take the record of eras away."),
    "crypt": Lazy(f"{_HERE}.layers:crypt", "Encrypt a volume from now on."),
    "move": Lazy(f"{_HERE}.move:move", "Move extents from a device to others."),
}
"""The mutators by name; each is imported when it is used."""


@click.group(cls=LazyGroup, lazy=MUTATORS, context_settings=HELP)
def metadata() -> None:
    """Change a volume group document: it comes in on stdin, the new one goes out on stdout.

    These are functions of documents: no device is opened, and what is active stays as it is. `dvm transact update`
    runs one of them inside a transaction. Sizes are whole numbers with k, m, g or t (powers of 1024).
    docs/reference/group.md describes the document.

    \b
    Examples:
      dvm discover find vg | dvm metadata init > vg.json
      dvm metadata create db --size 10g < vg.json > new.json
      dvm transact update vg --activate -- dvm metadata create db --size 10g
    """
