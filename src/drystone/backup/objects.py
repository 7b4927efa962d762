"""Manifests and records, between the store's bytes and values."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from drystone.backup.format import manifest as manifests
from drystone.backup.format.digest import checksum
from drystone.backup.format.keys import (
    PACKS,
    VOLUMES,
    backups_of,
    manifest_key,
    pack_key,
    parse_manifest_key,
    parse_pack_key,
)
from drystone.backup.format.manifest import Manifest
from drystone.backup.format.pack import Place
from drystone.backup.vault import Vault
from drystone.base.errors import DamagedError, NotFoundError


def read_manifest(vault: Vault, volume: str, backup: str, stored_digest: str = "") -> Manifest:
    """The manifest of a backup, checked against the hex digest of its stored bytes that the state has ("": unknown).

    :raises NotFoundError: there is no such backup. :raises DamagedError: it is wrong; the facts name backup and volume.
    :raises UnsupportedError: a newer version.
    """
    return _read(vault, volume, backup, stored_digest)[0]


def read_manifests(
    vault: Vault, volume: str = "", damaged: Callable[[DamagedError], None] | None = None
) -> Iterator[tuple[Manifest, bytes]]:
    """Every manifest that is in the store, of a volume or of all (""), with its stored bytes; what the state says of
    them is not asked. One deleted meanwhile is left out.

    :raises DamagedError: one is wrong, unless `damaged` takes the error; then it is left out.
    """
    for key, _ in list(vault.store.list(backups_of(volume) if volume else VOLUMES)):
        names = parse_manifest_key(key)
        if names is not None:
            try:
                yield _read(vault, *names, "")
            except NotFoundError:
                continue
            except DamagedError as error:
                if damaged is None:
                    raise
                damaged(error)


def _read(vault: Vault, volume: str, backup: str, stored_digest: str) -> tuple[Manifest, bytes]:
    key = manifest_key(volume, backup)
    what = f"the manifest of backup {backup} of volume {volume}"
    try:
        stored = vault.store.get(key)
    except NotFoundError as error:
        raise NotFoundError(f"there is no backup {backup} of volume {volume}", backup=backup, volume=volume) from error
    try:
        if stored_digest and checksum(stored).hex() != stored_digest:
            raise DamagedError(f"{what} is not as it was written: its digest differs")
        found = manifests.parse(vault.unseal(key, stored), what, vault.hasher)
        if (found.head.backup, found.head.volume) != (backup, volume):
            raise DamagedError(f"{what} is that of {found.head.backup}")
    except DamagedError as error:
        hint = "use another backup; `drystone backup delete` removes this one"
        raise DamagedError(error.message, hint=hint, backup=backup, volume=volume) from error
    return found, stored


def pack_sizes(vault: Vault, below: str = "") -> dict[bytes, int]:
    """Bytes of every pack in the store by its id; of those whose hex id begins with the two digits `below`."""
    prefix = f"{PACKS}/{below}" if below else PACKS
    return {pack: size for key, size in vault.store.list(prefix) if (pack := parse_pack_key(key)) is not None}


def read_place(vault: Vault, place: Place) -> memoryview:
    """The bytes of a record. :raises DamagedError: the pack is missing or too short."""
    try:
        return memoryview(vault.store.get_range(pack_key(place.pack), place.offset, place.length))
    except NotFoundError as error:
        raise DamagedError(f"pack {place.pack.hex()} is missing", pack=place.pack.hex()) from error
