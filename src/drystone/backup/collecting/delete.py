"""Deleting a backup, and sweeping what kills left behind. Order of steps: docs/reference/backup-format.md."""

from __future__ import annotations

from drystone.backup.format.keys import PACKS, manifest_key, pack_key, pack_writer, parse_pack_key
from drystone.backup.objects import read_manifest, read_manifests
from drystone.backup.operations import announced, describe, living
from drystone.base.errors import BusyError, DamagedError
from drystone.store import Store


def delete_backup(store: Store, volume: str, backup: str) -> int:
    """Remove a backup, and the packs that no other backup of its volume uses; how many packs.

    :raises NotFoundError: there is no such backup. :raises BusyError: one that is being made builds upon it.
    A backup whose own manifest is damaged can be deleted; its packs are left to `sweep`.

    :raises DamagedError: another manifest of the volume cannot be read, so it is not known which packs it uses: the
        backup is deleted, its packs are left to `sweep`.
    """
    with announced(store, describe("delete", volume, backup)) as operation:
        for key, other in living(store).items():
            if key != operation and other.volume == volume and backup in {other.base, other.backup}:
                raise BusyError(f"backup {backup} is in use: a {other.operation} is under way", pid=other.pid)
        try:
            own = read_manifest(store, volume, backup).pack_ids()
        except DamagedError:
            own = set()
        store.delete(manifest_key(volume, backup))
        try:
            for other_manifest in read_manifests(store, volume):
                own -= other_manifest.pack_ids()
        except DamagedError as error:
            raise DamagedError(
                f"backup {backup} is deleted, but its packs stay, as they may be needed: {error.message}",
                hint="delete the damaged one too, then `drystone backup sweep`",
                **error.facts,
            ) from error
        for pack in sorted(own):
            store.delete(pack_key(pack))
    return len(own)


def sweep(store: Store, *, force: bool = False) -> tuple[int, int]:
    """Remove packs that no backup names and that no living operation writes: (packs, bytes).

    With `force` all operations count as dead: those that live fail, and can be made again.

    :raises DamagedError: a manifest cannot be read, so it is not known which packs it uses.
    """
    packs = [(pack, size) for key, size in store.list(PACKS) if (pack := parse_pack_key(key)) is not None]
    writers = {bytes.fromhex(each.writer) for each in living(store, force=force).values()}
    used: set[bytes] = set()
    for manifest in read_manifests(store):
        used |= manifest.pack_ids()
    garbage = [(pack, size) for pack, size in packs if pack not in used and pack_writer(pack) not in writers]
    for pack, _ in garbage:
        store.delete(pack_key(pack))
    store.clean()
    return len(garbage), sum(size for _, size in garbage)
