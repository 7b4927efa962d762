"""Which earlier backup the next one builds upon: the newest that is whole enough to be referred to.

A backup refers to its base's records without reading them. So before one is chosen, its manifest and its map are read,
and every place that the map names is looked for in the sizes of the packs: a missing or shortened pack is found, a
flipped byte within a chunk is not (`verify` finds that). Cost: a listing of the packs, and a record for 256 chunks,
0.1 s for 64 GiB. That is little beside reading a whole source, and much beside a small delta: whoever makes a backup
upon a base that was named to it looks for missing packs only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from drystone.backup.format.keys import PACKS, parse_pack_key
from drystone.backup.format.manifest import Head, Manifest
from drystone.backup.format.segment import Segment
from drystone.backup.objects import read_manifest, read_manifests, read_segment
from drystone.base.errors import DamagedError, NotFoundError
from drystone.store import Store

Damaged = Callable[[DamagedError], None]
"""Takes what is wrong with a backup that was passed over."""


def pack_sizes(store: Store) -> dict[bytes, int]:
    """Bytes of every pack by its id."""
    return {pack: size for key, size in store.list(PACKS) if (pack := parse_pack_key(key)) is not None}


def find_base(store: Store, volume: str, damaged: Damaged, only: str = "") -> Head | None:
    """The newest backup of a volume that can be built upon; None when there is none.

    :param damaged: takes what is wrong with every newer one, and every unreadable one, that is passed over.
    :param only: the backup of this UUID or none; "" for any.

    :raises UnsupportedError: a manifest of a newer version.
    """
    heads = [each.head for each in read_manifests(store, volume, damaged) if only in {"", each.head.backup}]
    for head in sorted(heads, key=lambda each: (each.created, each.backup), reverse=True):
        try:
            _check(store, read_manifest(store, volume, head.backup))
        except NotFoundError:  # deleted since it was listed
            continue
        except DamagedError as error:
            damaged(error)
            continue
        return head
    return None


def check_packs(store: Store, manifest: Manifest) -> dict[bytes, int]:
    """That all packs of a backup are there; the sizes of all packs. Cost: a listing.

    :raises DamagedError: one is missing; the facts name it and the backup.
    """
    sizes = pack_sizes(store) if len(manifest.packs) else {}
    missing = manifest.pack_ids() - sizes.keys()
    if missing:
        pack = min(missing)
        raise DamagedError(
            f"backup {manifest.head.backup} is damaged: pack {pack.hex()} is missing",
            backup=manifest.head.backup,
            volume=manifest.head.volume,
            pack=pack.hex(),
        )
    return sizes


def _check(store: Store, manifest: Manifest) -> None:
    """:raises DamagedError: a pack is missing or too short, or the map cannot be read; the facts name the backup."""
    sizes = check_packs(store, manifest)
    for number in manifest.segments["number"].tolist():
        segment = read_segment(store, manifest, number)
        assert segment is not None
        _check_places(manifest, segment, sizes)


def _check_places(manifest: Manifest, segment: Segment, sizes: dict[bytes, int]) -> None:
    present = segment.present()
    ends = segment.offset[present].astype(np.uint64) + segment.length[present]
    limits = np.array([sizes.get(pack, 0) for pack in segment.packs], dtype=np.uint64)[segment.pack[present]]
    beyond = np.flatnonzero(ends > limits)
    if not len(beyond):
        return
    slot = int(present[beyond[0]])
    pack = segment.packs[segment.pack[slot]]
    offset = (segment.number * manifest.shape.slots + slot) * manifest.shape.chunk_size
    raise DamagedError(
        f"backup {manifest.head.backup} is damaged at byte {offset} of the image: pack {pack.hex()} is too short",
        backup=manifest.head.backup,
        volume=manifest.head.volume,
        pack=pack.hex(),
        offset=offset,
    )
