"""`drystone backup`: back up devices and files; list, restore, verify and delete backups. A file a command."""

from __future__ import annotations

import click

from drystone.cli.lazy import Lazy, LazyGroup
from drystone.cli.start_up import spare_numpy

COMMANDS = {
    "create": Lazy("drystone.cli.backup.create:create", "Back up a device, an image file or standard input."),
    "list": Lazy("drystone.cli.backup.list:list_", "List the backups at a destination, oldest first."),
    "show": Lazy("drystone.cli.backup.show:show", "Show what is known of a backup."),
    "restore": Lazy("drystone.cli.backup.restore:restore", "Restore a backup to a file or a block device."),
    "verify": Lazy("drystone.cli.backup.verify:verify", "Read all that a backup needs, and check it."),
    "scrub": Lazy("drystone.cli.backup.scrub:scrub", "Read what is stored, name damage, repair it."),
    "prune": Lazy("drystone.cli.backup.prune:prune", "Delete by a policy, and free what nobody needs."),
    "delete": Lazy("drystone.cli.backup.delete:delete", "Delete backups, and what no other one needs."),
    "stats": Lazy("drystone.cli.backup.stats:stats", "What is stored, shared, compressed and unused."),
    "rebuild": Lazy("drystone.cli.backup.rebuild:rebuild", "A new state, when the newest cannot be read."),
    "key": Lazy("drystone.cli.backup.key:key", "The passphrases and key files that open a repository."),
    "diff": Lazy("drystone.cli.backup.diff:diff", "What differs between two backups, or a backup and a device."),
    "export": Lazy("drystone.cli.backup.export:export", "A backup as a raw stream or file, or as qcow2."),
    "mount": Lazy("drystone.cli.backup.mount:mount", "A backup as a block device that can be read."),
    "unmount": Lazy("drystone.cli.backup.unmount:unmount", "End what `mount` has made."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def backup() -> None:
    """Backups of devices, files and pipes: incremental, deduplicated, encrypted, verified.

    A destination (DEST) is the path of a folder, vfs:///dir, s3://bucket[@region]/path, gs://bucket/path or
    az://container/path. A backup's URL is what `create` and `list` print; quote
    it in a shell. Exit codes: docs/reference/exit-codes.md.

    \b
    Examples:
      drystone backup create disk.img --dest vfs:///srv/backup --passphrase-file /root/passphrase
      drystone backup list vfs:///srv/backup
      drystone backup restore 'vfs:///srv/backup?backup=...&volume=...' restored.img
    """
    from drystone.store.waiting import heed_interrupts

    spare_numpy()
    # A store that is silent would hold the program for a minute after Ctrl-C.
    click.get_current_context().with_resource(heed_interrupts())
