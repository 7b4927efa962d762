"""Manifests, segments and own objects, between the store's bytes and values."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from drystone.backup.format import manifest as manifests
from drystone.backup.format import segment as segments
from drystone.backup.format.keys import VOLUMES, backups_of, manifest_key, pack_key, parse_manifest_key
from drystone.backup.format.manifest import Manifest
from drystone.backup.format.pack import Kind, Place, parse_record
from drystone.backup.format.segment import Segment
from drystone.base.errors import DamagedError, ExistsError, NotFoundError
from drystone.store import Store
from drystone.store.abc import Data


def read_manifest(store: Store, volume: str, backup: str) -> Manifest:
    """The manifest of a backup.

    :raises NotFoundError: there is no such backup. :raises DamagedError: it is wrong; the facts name backup and volume.
    :raises UnsupportedError: a newer version.
    """
    try:
        data = store.get(manifest_key(volume, backup))
    except NotFoundError as error:
        raise NotFoundError(f"there is no backup {backup} of volume {volume}", backup=backup, volume=volume) from error
    try:
        found = manifests.parse(data, f"the manifest of backup {backup} of volume {volume}")
        if (found.head.backup, found.head.volume) != (backup, volume):
            raise DamagedError(f"the manifest of backup {backup} of volume {volume} is that of {found.head.backup}")
    except DamagedError as error:
        hint = "use another backup; `drystone backup delete` removes this one"
        raise DamagedError(error.message, hint=hint, backup=backup, volume=volume) from error
    return found


def read_manifests(
    store: Store, volume: str = "", damaged: Callable[[DamagedError], None] | None = None
) -> Iterator[Manifest]:
    """The manifests of a volume, of all volumes when "". One deleted meanwhile is left out.

    :raises DamagedError: one is wrong, unless `damaged` takes the error; then it is left out.
    """
    for key, _ in list(store.list(backups_of(volume) if volume else VOLUMES)):
        names = parse_manifest_key(key)
        if names is not None:
            try:
                found = read_manifest(store, *names)
            except NotFoundError:
                continue
            except DamagedError as error:
                if damaged is None:
                    raise
                damaged(error)
                continue
            yield found


def read_place(store: Store, place: Place) -> memoryview:
    """The bytes of a record. :raises DamagedError: the pack is missing or too short."""
    try:
        return memoryview(store.get_range(pack_key(place.pack), place.offset, place.length))
    except NotFoundError as error:
        raise DamagedError(f"pack {place.pack.hex()} is missing", pack=place.pack.hex()) from error


def read_segment(store: Store, manifest: Manifest, number: int) -> Segment | None:
    """A segment of a backup's map, checked against its digest; None for zeros. :raises DamagedError: it is wrong."""
    entry = manifest.find_segment(number)
    if entry is None:
        return None
    name, place = entry
    try:
        plain = parse_record(read_place(store, place), Kind.SEGMENT, None)
        found = segments.parse(plain, number, manifest.shape.slots_of(number))
        if found.digest() != name:
            raise DamagedError("its leaves do not have its digest")
    except DamagedError as error:
        raise DamagedError(
            f"the map of backup {manifest.head.backup} is damaged in segment {number}: {error.message}",
            backup=manifest.head.backup,
            volume=manifest.head.volume,
            pack=place.pack.hex(),
            offset=number * manifest.shape.slots * manifest.shape.chunk_size,
        ) from error
    return found


def put_own(store: Store, key: str, data: Data) -> None:
    """Put an object that nobody else can have put; durable when this returns.

    A put that raises counts as failed, even where the object can be seen: its name may not be on the disk (a failed
    fsync). One that answers False for its own bytes is a store's second try whose first answer was lost.

    :raises ExistsError: other bytes are there. :raises: what the put raised.
    """
    if not store.put_if_absent(key, data) and store.get(key) != data:
        raise ExistsError(f"{key} has other bytes already")
