"""`drystone`: a group a noun."""

from __future__ import annotations

import click

from drystone import __version__
from drystone.cli.exits import leave, run
from drystone.cli.lazy import Lazy, LazyGroup
from drystone.cli.output import HELP

COMMANDS = {
    "lab": Lazy("drystone.cli.lab:lab", "Guests with a real kernel, on a machine that has none."),
    "dm": Lazy("drystone.cli.dm:dm", "Device-mapper devices, tables and targets of this kernel."),
    "dvm": Lazy("drystone.cli.dvm:dvm", "Programs: what would change in device-mapper, and the change."),
    "thin": Lazy("drystone.cli.thin:thin", "dm-thin metadata: read, checked, dumped, restored, repaired."),
    "era": Lazy("drystone.cli.era:era", "dm-era: which blocks were written since when; its metadata."),
    "backup": Lazy("drystone.cli.backup:backup", "Backups of devices and files: full, incremental, restore."),
    "volume": Lazy("drystone.cli.volume:volume", "Volumes on this host: create, mount, snapshot, back up."),
    "snapshot": Lazy("drystone.cli.snapshot:snapshot", "Snapshots of volumes."),
    "fleet": Lazy("drystone.cli.fleet.command:fleet", "The backup fleet: storage servers, mappers, failover, S3."),
    "cluster": Lazy("drystone.cli.cluster.command:cluster", "Distributed volumes: servers, volumes, attachments."),
    "completion": Lazy("drystone.cli.completion:completion", "The shell's completion script."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings=HELP,
    epilog="Exit codes: 0 success, 2 wrong arguments, the rest in docs/reference/exit-codes.md.",
)
@click.version_option(__version__, "-V", "--version", prog_name="drystone")
def drystone() -> None:
    """Block storage for Linux: volumes, snapshots and backups, every kernel change shown before it is made.

    \b
    Examples:
      drystone lab run -- dmsetup version       run a command on a real kernel, in a guest
      drystone volume create db --size 10G      a volume (add --dry-run to see the program)
      drystone backup list vfs:///srv/backup    what can be restored
    """


def main() -> None:
    """The console script."""
    leave(run(drystone))


if __name__ == "__main__":
    main()
