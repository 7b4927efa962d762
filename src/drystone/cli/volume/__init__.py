"""`drystone volume`: the volume service in our own voice. It talks to the same daemon as `convoy` does."""

from __future__ import annotations

import click

from drystone.cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "daemon": Lazy("drystone.cli.volume.daemon:daemon", "Run the daemon in the foreground."),
    "boot": Lazy("drystone.cli.volume.boot:boot", "Have systemd run the daemon."),
    "info": Lazy("drystone.cli.volume.daemon:info", "Show the daemon and its drivers."),
    "work": Lazy("drystone.cli.volume.progress:work", "Show the backups and restores under way."),
    "create": Lazy("drystone.cli.volume.create:create", "Make a volume, empty or out of a backup."),
    "list": Lazy("drystone.cli.volume.show:list_", "Show all volumes."),
    "inspect": Lazy("drystone.cli.volume.show:inspect", "Show a volume and its snapshots."),
    "clone": Lazy("drystone.cli.volume.clone:clone", "Make a volume out of a snapshot."),
    "rollback": Lazy("drystone.cli.volume.rollback:rollback", "Take a volume back to a snapshot."),
    "delete": Lazy("drystone.cli.volume.delete:delete", "Delete volumes."),
    "resize": Lazy("drystone.cli.volume.resize:resize", "Make a volume larger, with its file system."),
    "trim": Lazy("drystone.cli.volume.resize:trim", "Give free blocks back to the pool."),
    "forecast": Lazy("drystone.cli.volume.forecast:forecast", "What the next backup would read and write."),
    "mount": Lazy("drystone.cli.volume.mounts:mount", "Mount a volume; prints where."),
    "umount": Lazy("drystone.cli.volume.mounts:umount", "Unmount a volume."),
    "backup": Lazy("drystone.cli.volume.backup:backup", "Backups of snapshots of volumes."),
    "pool": Lazy("drystone.cli.volume.pool:pool", "The pools that volumes take their room from."),
    "metrics": Lazy("drystone.cli.volume.metrics:metrics", "Print the daemon's metrics as Prometheus text."),
    "audit": Lazy("drystone.cli.volume.audit:audit", "Show who changed what."),
    "schedule": Lazy("drystone.cli.volume.schedule:schedule", "Snapshots and backups that the daemon makes by itself."),
    "fsck": Lazy("drystone.cli.volume.fsck:fsck", "Hold the catalogue against what there is, and mend."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def volume() -> None:
    """Volumes on this host: create, mount, snapshot, back up.

    \b
    Examples:
      drystone volume daemon --drivers vfs --driver-opts vfs.path=/srv/volumes
      drystone volume create db --size 10G --dry-run
      drystone volume backup create monday --dest vfs:///srv/backup
    """
