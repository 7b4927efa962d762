"""What can be saved of damaged thin metadata: the best roots, the devices below them, and what of them is lost.

    salvage = find_salvage(reader, Overrides())
    salvage.superblock, salvage.devices, salvage.missing, salvage.notes
    for batch in iter_saved(reader, salvage, dev_id): ...

The superblock's roots are used when their nodes can be read. Otherwise every block is read, and pairs of roots that
belong together (candidates.py) are looked for. Devices are then saved as far as their trees can be read. Mappings
beyond the data device are left out.

Times matter: the kernel takes a mapping for shared, and copies the block before a write, when a snapshot was taken
after the mapping's time. Where a device's details are lost, or mappings and details may be of two transactions, the
last snapshot is given a time after every mapping, so that nothing shared is ever written over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import dataclass, replace

import numpy as np

from drystone.base.errors import DamagedError
from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.spacemap import SpaceMapRoot
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin import layout
from drystone.formats.thin.beyond import list_beyond
from drystone.formats.thin.candidates import (
    MOST_CANDIDATES,
    Finds,
    NodeKind,
    Roots,
    choose_roots,
    read_details,
    read_roots,
    scan_roots,
)
from drystone.formats.thin.devices import DeviceDetails
from drystone.formats.thin.losses import find_losses, list_sound_leaves
from drystone.formats.thin.mappings import MAPPINGS, MappingBatch, get_data_blocks, get_times
from drystone.formats.thin.superblock import Superblock, read_superblock

MOST_RANGES = 10_000
"""Ranges beyond the data device that are listed of a device one by one; the rest is one range."""


@dataclass(frozen=True, slots=True)
class Overrides:
    """What to put into the superblock instead of what is found; None for what is found."""

    transaction_id: int | None = None
    data_block_size: int | None = None
    """Sectors."""
    nr_data_blocks: int | None = None


@dataclass(frozen=True, slots=True)
class Missing:
    """Virtual blocks `low` to `high` (None: to the end) of a device cannot be read, for what is wrong with `block`.

    :ivar block: the metadata block at fault. :ivar reason: what is wrong with it, in words.
    """

    dev_id: int
    low: int
    high: int | None
    block: int
    reason: str


@dataclass(frozen=True, slots=True)
class Salvage:
    """What there is to save.

    :ivar superblock: as it will be: the chosen roots, overrides applied, flags clear, no metadata snapshot. Of the
        space maps only data_space_map.nr_blocks means anything.
    :ivar devices: id -> details, ascending; mapped_blocks is what can be read.
    :ivar roots: id -> root of its mappings in the damaged metadata; 0 for a device without any that can be read.
    :ivar missing: what is lost, by device and block. :ivar notes: what else is not as it was, a line each.
    :ivar survey: of the mapping trees, which knows what of them is sound.
    """

    superblock: Superblock
    devices: dict[int, DeviceDetails]
    roots: dict[int, int]
    missing: tuple[Missing, ...]
    notes: tuple[str, ...]
    survey: Survey


def find_salvage(reader: BlockReader, overrides: Overrides | None = None) -> Salvage:
    """Find what can be saved of the thin metadata on `reader`.

    :raises DamagedError: nothing, or the superblock is lost and so is the data block size, which must be given then.
    :raises UnsupportedError: features that this reader does not know. :raises OSError: the device failed.
    """
    return _Search(reader, overrides or Overrides()).run()


def iter_saved(reader: BlockReader, salvage: Salvage, dev_id: int) -> Iterator[MappingBatch]:
    """The mappings of one device that are saved, ascending."""
    root = salvage.roots[dev_id]
    if not root:
        return
    limit = np.uint64(salvage.superblock.data_space_map.nr_blocks)
    for keys, values in Survey(reader).iter_entries(MAPPINGS, root):
        data = get_data_blocks(values)
        kept = data < limit
        if kept.any():
            yield MappingBatch(keys[kept], data[kept], get_times(values[kept]))


class _Search:
    """One search under way."""

    def __init__(self, reader: BlockReader, overrides: Overrides) -> None:
        self.reader = reader
        self.overrides = overrides
        self.notes: list[str] = []
        self.missing: list[Missing] = []
        self.finds: Finds | None = None
        self.top = 0

    def run(self) -> Salvage:
        live = self.read_superblock()
        self.top = 0 if live is None else live.data_mapping_root
        roots = self.choose_roots(live)
        devices, lost = read_details(self.reader, roots.details) if roots.details else ({}, [])
        self.note_damages(lost)
        tops, torn = read_roots(self.reader, roots.mapping) if roots.mapping else ({}, [])
        self.note_damages(torn)
        ids = sorted({*devices, *tops})
        if not ids and self.notes:
            raise DamagedError("no thin device can be found in this metadata", what="devices", expected="some", found=0)
        tally = self.tally(tops, self.find_limit(live))
        time = max([self.find_time(live), tally.time, *(_last_time(each) for each in devices.values())])
        kept = None if live is None else Roots(live.data_mapping_root, live.device_details_root)
        guessed = roots != kept or ids != sorted(devices)
        if guessed and ids:
            # Later than every mapping: all are taken for shared, and none is written over.
            time = min(time + 1, layout.LARGEST_TIME)
            self.notes.append(f"times of last snapshots may be lost: all are set to {time}, so that shared blocks stay")
        saved = {
            dev_id: self.describe_device(dev_id, devices.get(dev_id), tally.mapped.get(dev_id, 0), time, guessed)
            for dev_id in ids
        }
        superblock = self.make_superblock(live, roots, saved, time, tally.most_data)
        missing = sorted(self.missing, key=lambda each: (each.dev_id, each.low))
        roots_by_id = {dev_id: tops.get(dev_id, 0) for dev_id in ids}
        return Salvage(superblock, saved, roots_by_id, tuple(missing), tuple(self.notes), tally.survey)

    def read_superblock(self) -> Superblock | None:
        """The live one; None, and a note, when it is damaged."""
        try:
            return read_superblock(self.reader)
        except DamagedError as error:
            self.notes.append(f"the superblock is lost: {error.message}")
            return None

    def scan(self) -> Finds:
        """The scan of all blocks, once."""
        if self.finds is None:
            self.finds = scan_roots(self.reader)
        return self.finds

    def choose_roots(self, live: Superblock | None) -> Roots:
        """The superblock's where their nodes can be read, others by a scan."""
        mapping = live.data_mapping_root if live is not None else 0
        details = live.device_details_root if live is not None else 0
        mapping_sound = mapping > 0 and _is_readable(*read_roots(self.reader, mapping))
        details_sound = details > 0 and _is_readable(*read_details(self.reader, details))
        if mapping_sound and details_sound:
            return Roots(mapping, details)
        finds = self.scan()
        tops = [mapping] if mapping_sound else finds.list_roots(NodeKind.TOP)
        others = [details] if details_sound else finds.list_roots(NodeKind.DETAILS)
        chosen = choose_roots(self.reader, tops, others)
        if max(len(tops), len(others)) > MOST_CANDIDATES:
            self.notes.append(f"a scan found more possible roots than {MOST_CANDIDATES}: the others were not looked at")
        for name, sound, root in (
            ("mapping tree", mapping_sound, chosen.mapping),
            ("device details tree", details_sound, chosen.details),
        ):
            if not sound:
                what = f"a scan found block {root}, maybe of an older transaction" if root else "and a scan found none"
                self.notes.append(f"the root of the {name} is lost, {what}")
        return chosen

    def note_damages(self, damages: list[Damage]) -> None:
        """Say what is wrong in the trees of devices."""
        self.notes += [damage.describe() for damage in damages]

    def find_limit(self, live: Superblock | None) -> int:
        """Data blocks there are; mappings beyond them are dropped."""
        if self.overrides.nr_data_blocks is not None:
            return self.overrides.nr_data_blocks
        return live.data_space_map.nr_blocks if live is not None else 1 << (64 - layout.TIME_BITS)

    def tally(self, tops: dict[int, int], limit: int) -> _Tally:
        """Count what can be read of each device's mappings, and list what cannot."""
        survey = Survey(self.reader)
        time = most = 0
        beyond = False
        for _, values in survey.visit_trees(MAPPINGS, tops.values(), owners=tops.keys()):
            data = get_data_blocks(values)
            inside = data < np.uint64(limit)
            beyond = beyond or not inside.all()
            time = max(time, int(get_times(values).max()))
            most = max(most, int(data[inside].max()) + 1 if inside.any() else 0)
        if not survey.nr_damages:
            mapped = {dev_id: survey.count_entries(root) for dev_id, root in tops.items()}
        else:
            sums = survey.visits.entries
            counts = {root: int(sums[list_sound_leaves(survey, root)].sum()) for root in set(tops.values())}
            mapped = {dev_id: counts[root] for dev_id, root in tops.items()}
        broken = {
            dev_id: root
            for dev_id, root in tops.items()
            if not survey.is_whole(root) or mapped[dev_id] != survey.count_entries(root)
        }
        losses = find_losses(survey, survey.damages, broken)
        reasons = {damage.block: damage for damage in survey.damages}
        for block, parts in losses.items():
            damage = reasons.get(block)
            reason = "it cannot be read" if damage is None else _tell(damage)
            self.missing += [Missing(part.dev_id, part.low, part.high, block, reason) for part in parts]
        if beyond:
            self.drop_beyond(tops, limit, mapped)
        return _Tally(mapped, time, most, survey)

    def drop_beyond(self, tops: dict[int, int], limit: int, mapped: dict[int, int]) -> None:
        """List mappings beyond the data device as missing, and count them off."""
        reading = Survey(self.reader)
        known: dict[int, tuple[list[tuple[int, int]], int]] = {}
        for dev_id, root in tops.items():
            if root not in known:
                ranges, _, blocks = list_beyond(reading, root, limit, MOST_RANGES + 1)
                known[root] = ranges, blocks
            ranges, blocks = known[root]
            mapped[dev_id] -= blocks
            reason = f"it is mapped beyond the data device of {limit} blocks"
            for low, length in ranges[:MOST_RANGES]:
                self.missing.append(Missing(dev_id, low, low + length - 1, root, reason))
            if len(ranges) > MOST_RANGES:
                rest = f"some of these blocks are mapped beyond the data device of {limit} blocks"
                self.missing.append(Missing(dev_id, ranges[-1][0], None, root, rest))

    def describe_device(
        self, dev_id: int, known: DeviceDetails | None, mapped: int, time: int, guessed: bool
    ) -> DeviceDetails:
        """The details to save."""
        if known is None:
            self.notes.append(f"the details of device {dev_id} are lost: made anew")
            return DeviceDetails(dev_id, mapped, self.overrides.transaction_id or 0, time, time)
        if known.mapped_blocks != mapped and not any(each.dev_id == dev_id for each in self.missing):
            self.notes.append(f"device {dev_id} maps {mapped} blocks, its details say {known.mapped_blocks}")
            if not mapped:
                self.missing.append(Missing(dev_id, 0, None, self.top, "the root of its mappings is lost"))
        return replace(known, mapped_blocks=mapped, snapshotted_time=time if guessed else known.snapshotted_time)

    def make_superblock(
        self, live: Superblock | None, roots: Roots, devices: dict[int, DeviceDetails], time: int, most_data: int
    ) -> Superblock:
        """The superblock to write, but for the space maps."""
        asked = self.overrides
        size = asked.data_block_size if asked.data_block_size is not None else self.find_block_size(live)
        if live is not None:
            transaction, data_blocks = live.transaction_id, live.data_space_map.nr_blocks
        else:
            transaction = max((each.transaction_id for each in devices.values()), default=0) + 1
            data_blocks = most_data
            if asked.transaction_id is None:
                self.notes.append(f"the transaction id is lost: {transaction}, one above that of any device")
            if asked.nr_data_blocks is None:
                self.notes.append(f"the size of the data device is lost: {data_blocks} blocks, the last one mapped")
        return Superblock(
            location=0,
            flags=0,
            uuid=bytes(16) if live is None else live.uuid,
            version=2 if live is None else live.version,
            time=min(time, (1 << layout.TIME_BITS) - 1),  # the kernel packs it beside a mapping's data block
            transaction_id=transaction if asked.transaction_id is None else asked.transaction_id,
            held_root=0,
            data_space_map=SpaceMapRoot(data_blocks if asked.nr_data_blocks is None else asked.nr_data_blocks, 0, 0, 0),
            metadata_space_map=SpaceMapRoot(0, 0, 0, 0),
            data_mapping_root=roots.mapping,
            device_details_root=roots.details,
            data_block_size=size,
            metadata_block_size=layout.METADATA_BLOCK_SECTORS,
            metadata_nr_blocks=count_blocks(self.reader),
            compat_flags=0,
            compat_ro_flags=0,
            incompat_flags=0,
        )

    def find_time(self, live: Superblock | None) -> int:
        """The superblock's; 0 when there is none, or none that a mapping can have."""
        if live is None:
            return 0
        if live.time >> layout.TIME_BITS:
            self.notes.append(f"the pool's time {live.time} is none that a mapping can have: it is found anew")
            return 0
        return live.time

    def find_block_size(self, live: Superblock | None) -> int:
        """Sectors: the superblock's, or that of a metadata snapshot's copy.

        :raises DamagedError: there is neither.
        """
        if live is not None:
            return live.data_block_size
        for block in self.scan().superblocks:
            try:
                size = read_superblock(self.reader, location=block).data_block_size
            except DamagedError:
                continue
            self.notes.append(f"the data block size is that of a metadata snapshot's superblock in block {block}")
            return size
        raise DamagedError(
            "block 0: the superblock is lost, and with it the data block size",
            hint="give it with --data-block-size; the pool's table has it",
            block=0,
            what="superblock",
            expected="sound",
            found="lost",
        )


@dataclass(frozen=True, slots=True)
class _Tally:
    """Mapped blocks of each device, the latest time of a mapping, one past the last data block mapped, and
    the survey that counted."""

    mapped: dict[int, int]
    time: int
    most_data: int
    survey: Survey


def _is_readable(entries: Sized, damages: list[Damage]) -> bool:
    """Whether a tree gives anything, or has nothing wrong."""
    return bool(len(entries)) or not damages


def _last_time(details: DeviceDetails) -> int:
    return max(details.creation_time, details.snapshotted_time)


def _tell(damage: Damage) -> str:
    return f"{damage.what} is {damage.found}, expected {damage.expected}"
