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

from drystone.backup.format.manifest import Head, Manifest
from drystone.backup.format.segment import Segment
from drystone.backup.reading.entries import read_entry
from drystone.backup.reading.locate import Locator
from drystone.backup.reading.segments import read_segment
from drystone.backup.writing.commit import needed, reached_sizes
from drystone.base.errors import DamagedError

_MOVED = 1 << 62
"""Bytes: the records of a moved pack are looked for when they are read."""

Damaged = Callable[[DamagedError], None]
"""Takes what is wrong with a backup that was passed over."""


def find_base(locator: Locator, volume: str, damaged: Damaged, only: str = "") -> Head | None:
    """The newest backup of a volume that can be built upon; None when there is none.

    :param damaged: takes what is wrong with every newer one, and every unreadable one, that is passed over.
    :param only: the backup of this UUID or none; "" for any.

    :raises UnsupportedError: a manifest of a newer version.
    """
    entries = [each for each in locator.state.backups if each.volume == volume and only in {"", each.backup}]
    for entry in sorted(entries, key=lambda each: (each.created, each.backup), reverse=True):
        try:
            _check(locator, read_entry(locator, entry.volume, entry.backup))
        except DamagedError as error:
            damaged(error)
            continue
        return entry.head()
    return None


def check_packs(locator: Locator, manifest: Manifest) -> dict[bytes, int]:
    """That all packs of a backup are there, or moved; the sizes of those that are there.

    Cost: a listing of the folders in which they are.

    :raises DamagedError: one is missing; the facts name it and the backup.
    """
    sizes = reached_sizes(locator.vault, locator.state, manifest.pack_ids())
    for pack in sorted(manifest.pack_ids() - sizes.keys()):
        if needed(locator.state, {pack}, sizes) is None:
            raise DamagedError(
                f"backup {manifest.head.backup} is damaged: pack {pack.hex()} is missing",
                backup=manifest.head.backup,
                volume=manifest.head.volume,
                pack=pack.hex(),
            )
    return sizes


def _check(locator: Locator, manifest: Manifest) -> None:
    """:raises DamagedError: a pack is missing or too short, or the map cannot be read; the facts name the backup."""
    sizes = check_packs(locator, manifest)
    for number in manifest.segments["number"].tolist():
        segment = read_segment(locator, manifest, number)
        assert segment is not None
        _check_places(locator, manifest, segment, sizes)


def _check_places(locator: Locator, manifest: Manifest, segment: Segment, sizes: dict[bytes, int]) -> None:
    present = segment.present()
    ends = segment.offset[present].astype(np.uint64) + segment.length[present]
    known = [_MOVED if locator.is_moved(pack) else sizes.get(pack, 0) for pack in segment.packs]
    limits = np.array(known, dtype=np.uint64)[segment.pack[present]]
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
