"""Checking thin metadata: every node, every mapping, and both space maps against references counted anew.

    report = check_metadata(reader, CheckOptions())
    report.findings, report.is_sound(), report.count(Severity.FATAL)

Each block of the trees is read once, however many devices share it. Memory: some 26 bytes a metadata block of the
trees, one byte a data block that is mapped (see ReferenceCounts), and one batch of blocks.

Order: superblock, device details, top level of the mapping tree, all devices' mappings, the same of a reserved metadata
snapshot, then both space maps. Where trees are damaged the references below are unknown; then a space map is only held
against those that are known, and a note says so.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DamagedError, NotFoundError
from drystone.formats.pdata.bitmaps import ENTRIES_A_BITMAP, SpaceMapKind, survey_counts
from drystone.formats.pdata.blocks import BlockReader, count_blocks
from drystone.formats.pdata.btree import descend, flatten
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.spacemap import SpaceMapRoot
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin import layout
from drystone.formats.thin.counted import iter_wrong_counts, list_count_findings
from drystone.formats.thin.devices import DETAILS, TOP
from drystone.formats.thin.extents import Ranges, join_ranges, merge_blocks
from drystone.formats.thin.findings import Affected, Finding, Severity, from_damage, from_error
from drystone.formats.thin.losses import find_losses, take_ranges
from drystone.formats.thin.mappings import MAPPINGS, get_data_blocks, get_times
from drystone.formats.thin.superblock import Superblock, read_superblock

MOST_BEYOND = 1000
"""Runs of mappings beyond the data device that are told one by one."""

MOST_LOOKED_AT = 100_000_000
"""Mappings that are looked at a second time to tell which of them lead beyond the data device."""

Entries = tuple[NDArray[np.uint64], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What to check.

    :ivar held: the reserved metadata snapshot instead of the live metadata; no space maps then, as it holds none.
    :ivar superblock_only: nothing but the superblock.
    :ivar skip_mappings: neither the devices' mappings nor the counts that hang on them.
    :ivar mapping_root: block to use as root of the mapping tree. :ivar details_root: of the device details tree.
    """

    held: bool = False
    superblock_only: bool = False
    skip_mappings: bool = False
    mapping_root: int | None = None
    details_root: int | None = None


@dataclass(slots=True)
class Report:
    """What a check found.

    :ivar superblock: the one that was checked; None when there is none that can be read.
    :ivar free_blocks: metadata blocks in no use, as the live superblock counts them.
    :ivar devices: thin devices that were checked. :ivar mappings: theirs; shared ones count for each device.
    :ivar metadata_counts: references to each metadata block, as counted by a full check. :ivar data_counts: of data.
    """

    superblock: Superblock | None = None
    free_blocks: int = 0
    findings: list[Finding] = field(default_factory=list)
    devices: int = 0
    mappings: int = 0
    metadata_counts: ReferenceCounts | None = None
    data_counts: ReferenceCounts | None = None

    def count(self, severity: Severity) -> int:
        """Findings of that severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def is_sound(self, *, ignore_mild: bool = False) -> bool:
        """Whether nothing is wrong, notes aside."""
        return not self.count(Severity.FATAL) and (ignore_mild or not self.count(Severity.MILD))

    def forget(self, kind: str) -> None:
        """Drop the findings of that kind, which has been put right."""
        self.findings = [finding for finding in self.findings if finding.kind != kind]

    def to_document(self) -> dict[str, Any]:
        """As a JSON object."""
        superblock = self.superblock
        return {
            "transaction_id": None if superblock is None else superblock.transaction_id,
            "metadata_free_blocks": None if superblock is None else self.free_blocks,
            "needs_check": None if superblock is None else superblock.needs_check,
            "devices": self.devices,
            "mappings": self.mappings,
            "fatal": self.count(Severity.FATAL),
            "non_fatal": self.count(Severity.MILD),
            "findings": [finding.to_document() for finding in self.findings],
        }


def check_metadata(reader: BlockReader, options: CheckOptions | None = None) -> Report:
    """Check the thin metadata on `reader`. Damage is in the report, never raised.

    :raises UnsupportedError: features that this reader does not know. :raises OSError: the device failed.
    :raises NotFoundError: no metadata snapshot is reserved, and one was to be checked.
    """
    options = options or CheckOptions()
    report = Report()
    try:
        live = read_superblock(reader)
        report.superblock = live
        report.free_blocks = live.metadata_space_map.nr_free
        _check_superblock(reader, live, report)
        report.superblock = _choose_superblock(reader, live, options)
    except DamagedError as error:
        report.findings.append(from_error(error))
        return report
    if not options.superblock_only:
        _Walk(reader, live, options, report).run(report.superblock)
    return report


def _choose_superblock(reader: BlockReader, live: Superblock, options: CheckOptions) -> Superblock:
    chosen = live
    if options.held:
        if not live.held_root:
            raise NotFoundError("no metadata snapshot is reserved", hint="send reserve_metadata_snap to the pool")
        chosen = read_superblock(reader, location=live.held_root)
    return replace(
        chosen,
        data_mapping_root=chosen.data_mapping_root if options.mapping_root is None else options.mapping_root,
        device_details_root=chosen.device_details_root if options.details_root is None else options.details_root,
    )


def _check_superblock(reader: BlockReader, live: Superblock, report: Report) -> None:
    if live.needs_check:
        report.findings.append(
            Finding(Severity.NOTE, "needs-check", 0, "flag needs_check of the superblock", "clear", "set")
        )
    size, due = reader.size // 4096, live.metadata_space_map.nr_blocks
    if size < due:
        what = "metadata device, in blocks of 4096 bytes,"
        report.findings.append(Finding(Severity.FATAL, "size", 0, what, f"at least {due}", size))


@dataclass(frozen=True, slots=True)
class _Devices:
    """The devices of one superblock.

    :ivar mapped: id -> mapped blocks, out of the details. :ivar roots: id -> root of its mappings.
    :ivar lost_details: ids whose details may be lost. :ivar lost_roots: ids whose roots may be lost.
    """

    mapped: dict[int, int]
    roots: dict[int, int]
    fresh: dict[int, int]
    lost_details: list[tuple[int, int]]
    lost_roots: list[tuple[int, int]]


class _Walk:
    """One check under way; what it finds goes into `report`."""

    def __init__(self, reader: BlockReader, live: Superblock, options: CheckOptions, report: Report) -> None:
        self.reader = reader
        self.live = live
        self.options = options
        self.report = report
        self.known = set(report.findings)
        self.survey = Survey(reader)
        self.taken = self.remarked = 0
        self.blamed: dict[Damage, set[Affected]] = {}
        self.partial = False
        self.latest = 0
        # There is room for the bitmaps of so many data blocks at most.
        self.data_blocks = min(live.data_space_map.nr_blocks, count_blocks(reader) * ENTRIES_A_BITMAP)
        self.data_counts = ReferenceCounts(self.data_blocks)

    def run(self, superblock: Superblock) -> None:
        """Check the trees of `superblock`, those of the metadata snapshot, and the space maps."""
        self.survey.count_block(0, "superblock")
        self.check_trees(superblock)
        if self.options.held:
            return
        if self.live.held_root and not self.options.skip_mappings:
            self.check_held(self.live.held_root)
        if self.latest > self.live.time:
            what = "time of the superblock, which is that of the last snapshot,"
            due = f"{self.latest} or more, the time of a mapping"
            self.add([Finding(Severity.NOTE, "late-time", 0, what, due, self.live.time)])
        self.partial = self.partial or any(map(_hides_references, self.survey.damages))
        self.check_space_map(SpaceMapKind.DATA, self.live.data_space_map, self.data_counts)
        self.check_space_map(SpaceMapKind.METADATA, self.live.metadata_space_map, self.survey.counts)
        self.report.metadata_counts, self.report.data_counts = self.survey.counts, self.data_counts

    def add(self, findings: Iterable[Finding]) -> None:
        """Take findings into the report, each once: what the snapshot shares is met twice."""
        for finding in findings:
            if finding not in self.known:
                self.known.add(finding)
                self.report.findings.append(finding)

    def take_damages(self) -> list[Damage]:
        """What the survey has found since the last time; nodes that are too empty go straight to the report."""
        found = self.survey.damages[self.taken :]
        self.taken = len(self.survey.damages)
        remarks = self.survey.remarks[self.remarked :]
        self.remarked = len(self.survey.remarks)
        self.add(from_damage(remark, severity=Severity.MILD, kind="underfull") for remark in remarks)
        return found

    def check_trees(self, superblock: Superblock) -> None:
        """Device details, and the mappings of every device."""
        devices = self.read_devices(superblock)
        self.report.devices += len({*devices.mapped, *devices.roots})
        self.add(_match_devices(superblock, devices))
        if not self.options.skip_mappings:
            self.check_mappings(devices)

    def check_held(self, location: int) -> None:
        """The same for the reserved metadata snapshot, whose trees share most blocks with the live ones."""
        try:
            held = read_superblock(self.reader, location=location)
        except DamagedError as error:
            self.partial = True
            self.add([from_error(error)])
            return
        self.survey.count_block(location, "superblock of the metadata snapshot")
        self.check_trees(held)

    def read_devices(self, superblock: Superblock) -> _Devices:
        """Details and roots of all devices, shared or not; counts the references on the way.

        A survey gives out what it has seen before no more, so that the ids are read by another one.
        """
        reading = Survey(self.reader)
        mapped: dict[int, int] = {}
        for ids, values in reading.iter_entries(DETAILS, superblock.device_details_root):
            mapped.update(zip(ids.tolist(), values["mapped_blocks"].tolist(), strict=True))
        lost_details = _list_lost(reading.damages)
        begin = len(reading.damages)
        roots: dict[int, int] = {}
        for ids, values in reading.iter_entries(TOP, superblock.data_mapping_root):
            roots.update(zip(ids.tolist(), values.tolist(), strict=True))
        lost_roots = _list_lost(reading.damages[begin:])
        for _ in self.survey.visit_tree(DETAILS, superblock.device_details_root):
            pass
        fresh: dict[int, int] = {}
        for ids, values in self.survey.visit_tree(TOP, superblock.data_mapping_root):
            fresh.update(zip(ids.tolist(), values.tolist(), strict=True))
        devices = _Devices(mapped, roots, fresh, lost_details, lost_roots)
        known = sorted({*mapped, *roots})
        for damage in self.take_damages():
            hit = known[bisect_left(known, damage.low) : bisect_right(known, damage.high)]
            self.add([from_damage(damage, tuple(map(Affected, hit)))])
        return devices

    def check_mappings(self, devices: _Devices) -> None:
        """Every mapping that was not visited before, and how many each device has."""
        beyond = False
        roots = devices.roots
        for _, values in self.survey.visit_trees(MAPPINGS, devices.fresh.values(), owners=devices.fresh.keys()):
            data = get_data_blocks(values)
            self.latest = max(self.latest, int(get_times(values).max()))
            if len(data) and int(data.max()) >= self.data_blocks:
                beyond = True
                data = data[data < self.data_blocks]
            self.data_counts.add(data)
        self.take_damages()
        named = {damage.owner for damage in self.survey.damages}
        broken = {each: root for each, root in roots.items() if each in named or not self.survey.is_whole(root)}
        self.add(self.blame(broken))
        for dev_id, root in roots.items():
            counted = self.survey.count_entries(root)
            self.report.mappings += counted
            due = devices.mapped.get(dev_id)
            if due is not None and due != counted and dev_id not in broken:
                what = f"mapped blocks in the details of device {dev_id}"
                self.add(
                    [Finding(Severity.FATAL, "wrong-mapped-blocks", None, what, counted, due, (Affected(dev_id),))]
                )
        if beyond:
            self.add(self.find_beyond(roots))

    def blame(self, broken: dict[int, int]) -> Iterable[Finding]:
        """Findings for damages in mapping trees, with all devices that lose blocks by each. What was told of the live
        trees is told again only for devices of the metadata snapshot that it did not name.
        """
        losses = find_losses(self.survey, self.survey.damages, broken)
        for damage in self.survey.damages:
            affected = tuple(losses.get(damage.block, ()))
            told = self.blamed.setdefault(damage, set())
            if damage.tree == MAPPINGS.name and (not told or not told.issuperset(affected)):
                told.update(affected)
                yield from_damage(damage, affected)

    def find_beyond(self, roots: dict[int, int]) -> Iterable[Finding]:
        """The mappings that lead beyond the data device: a second walk, by device, a finding for each run of blocks.
        Devices of one root are walked once.
        """
        runs = looked = 0
        reading = Survey(self.reader)
        known: dict[int, list[tuple[int, int]]] = {}
        for dev_id, root in roots.items():
            if root not in known and looked > MOST_LOOKED_AT:
                what = f"mappings of device {dev_id} and later ones beyond the data device"
                yield Finding(Severity.NOTE, "unchecked", None, what, "told one by one", "not told")
                break
            if root not in known:
                batches = (_take_beyond(entries, self.data_blocks) for entries in reading.iter_entries(MAPPINGS, root))
                known[root], more = take_ranges(join_ranges(batches), MOST_BEYOND)
                runs += more
                looked += self.survey.count_entries(root)
            for low, length in known[root]:
                runs += 1
                if runs <= MOST_BEYOND:
                    yield self.tell_beyond(dev_id, root, low, low + length - 1)
        if runs > MOST_BEYOND:
            what = f"data blocks of {runs - MOST_BEYOND} more runs of mappings"
            yield Finding(Severity.FATAL, "beyond-data-device", None, what, f"below {self.data_blocks}", "beyond")

    def tell_beyond(self, dev_id: int, root: int, low: int, high: int) -> Finding:
        """The finding for a run of blocks of a device."""
        leaf = found = None
        with contextlib.suppress(DamagedError):
            edge, node = descend(self.reader, MAPPINGS, root, low)[-1]
            leaf = int(edge.blocks[0])
            keys, values = flatten(node)
            found = int(get_data_blocks(values[keys == np.uint64(low)])[0])
        return Finding(
            Severity.FATAL,
            "beyond-data-device",
            leaf,
            f"data block of device {dev_id} block {low}",
            f"below {self.data_blocks}",
            "beyond" if found is None else found,
            (Affected(dev_id, low, high),),
        )

    def check_space_map(self, kind: SpaceMapKind, root: SpaceMapRoot, counts: ReferenceCounts) -> None:
        """The blocks of a space map, its own sums, and every count in it."""
        if kind is SpaceMapKind.METADATA and not root.nr_blocks:
            what = f"{kind.value}: number of blocks"
            self.add([Finding(Severity.FATAL, "size", self.live.location, what, "1 or more", 0)])
            return
        partial = self.partial
        if kind is SpaceMapKind.DATA and not self.options.skip_mappings:
            wrong = list(iter_wrong_counts(survey_counts(self.survey, kind, root), counts, partial=partial))
        else:
            for _ in survey_counts(self.survey, kind, root):
                pass
            partial = self.partial = self.partial or any(map(_hides_references, self.survey.damages))
            # The map's own blocks are all counted by now, which they were not when its first counts came.
            stored = survey_counts(Survey(self.reader), kind, root, count=False)
            wrong = [] if self.options.skip_mappings else list(iter_wrong_counts(stored, counts, partial=partial))
        self.add(_from_map_damage(damage) for damage in self.take_damages())
        self.add(list_count_findings(kind, wrong))
        if kind is SpaceMapKind.METADATA:
            self.add(_find_uncounted(root, counts))
        if partial and not self.options.skip_mappings:
            what = f"{kind.value}, for blocks that damaged nodes refer to,"
            self.add([Finding(Severity.NOTE, "unchecked", None, what, "checked", "unchecked")])


def _find_uncounted(root: SpaceMapRoot, counts: ReferenceCounts) -> Iterable[Finding]:
    """Metadata blocks in use from the end of the space map on: the kernel would take them for free once it grows."""
    uncounted = np.flatnonzero(counts.get_capped(root.nr_blocks, counts.nr_blocks))
    if len(uncounted):
        begin, end = root.nr_blocks + int(uncounted[0]), root.nr_blocks + int(uncounted[-1]) + 1
        what = f"number of metadata blocks in use from {root.nr_blocks} on, where the metadata space map ends,"
        yield Finding(Severity.FATAL, "beyond-space-map", None, what, 0, len(uncounted), begin=begin, end=end)


def _take_beyond(entries: Entries, limit: int) -> Ranges:
    """Ranges of the keys of entries that map data blocks from `limit` on."""
    keys, values = entries
    return merge_blocks(keys[get_data_blocks(values) >= np.uint64(limit)])


def _list_lost(damages: Iterable[Damage]) -> list[tuple[int, int]]:
    return [(damage.low, damage.high) for damage in damages if damage.loses]


def _match_devices(superblock: Superblock, devices: _Devices) -> Iterable[Finding]:
    """Every device has a possible id, and both details and mappings, unless one lies in what is damaged."""
    for dev_id in sorted({*devices.mapped, *devices.roots}):
        if dev_id > layout.LARGEST_DEVICE_ID:
            due = f"at most {layout.LARGEST_DEVICE_ID}"
            block = superblock.data_mapping_root
            yield Finding(Severity.FATAL, "damaged", block, "id of a device", due, dev_id, (Affected(dev_id),))
    for kind, tree, block, missing, lost in (
        (
            "missing-details",
            DETAILS,
            superblock.device_details_root,
            devices.roots.keys() - devices.mapped.keys(),
            devices.lost_details,
        ),
        (
            "missing-mappings",
            TOP,
            superblock.data_mapping_root,
            devices.mapped.keys() - devices.roots.keys(),
            devices.lost_roots,
        ),
    ):
        for dev_id in list_outside(sorted(missing), lost):
            what = f"device {dev_id} in the {tree.name}"
            yield Finding(Severity.FATAL, kind, block, what, "there", "missing", (Affected(dev_id),))


def list_outside(ids: Iterable[int], ranges: Iterable[tuple[int, int]]) -> list[int]:
    """Those of `ids` that lie in none of the ranges, which include both their ends. Takes n log n."""
    ordered = sorted(ranges)
    lows = [low for low, _ in ordered]
    reaches = [-1, *accumulate((high for _, high in ordered), max)]
    return [number for number in ids if reaches[bisect_right(lows, number)] < number]


def _hides_references(damage: Damage) -> bool:
    """Whether there may be references that cannot be read for it; a bitmap holds none."""
    return damage.loses and not damage.what.startswith("bitmap:")


def _from_map_damage(damage: Damage) -> Finding:
    """Damage in a space map: blocks that cannot be read are fatal, wrong sums are not."""
    if damage.loses:
        return from_damage(damage)
    return from_damage(damage, severity=Severity.MILD, kind="wrong-summary")
