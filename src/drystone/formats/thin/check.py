"""Checking thin metadata: every node, every mapping, and both space maps against references counted anew.

    report = check_metadata(reader, CheckOptions())
    report.findings, report.is_sound(), report.count(Severity.FATAL)

Each leaf is walked once, however many devices share it. Memory: 29 bytes a metadata block of the trees, one byte a data
block that is mapped (see ReferenceCounts), and a few batches of blocks.

Order: superblock, device details, top level of the mapping tree, all devices' mappings, the same of a reserved metadata
snapshot, then both space maps. Where trees are damaged the references below are unknown; then a space map is only held
against those that are known, and a note says so.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from drystone.base.errors import DamagedError
from drystone.formats.pdata.bitmaps import ENTRIES_A_BITMAP, SpaceMapKind, survey_counts
from drystone.formats.pdata.blocks import BLOCK, BlockReader, count_blocks
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.spacemap import SpaceMapRoot
from drystone.formats.pdata.survey import Survey
from drystone.formats.pdata.wrong_counts import iter_wrong_counts
from drystone.formats.thin import layout
from drystone.formats.thin.beyond import find_beyond
from drystone.formats.thin.counted import list_count_findings
from drystone.formats.thin.findings import Affected, Finding, Severity, from_damage, from_error
from drystone.formats.thin.losses import find_losses
from drystone.formats.thin.mappings import MAPPINGS, get_data_blocks, get_times
from drystone.formats.thin.superblock import Superblock, read_held_superblock, read_superblock
from drystone.formats.thin.surveyed_devices import SurveyedDevices, match_devices, survey_devices


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

    def find_worst(self) -> Finding:
        """The first of the worst findings, of which there is one at least."""
        severities = list(Severity)
        return min(self.findings, key=lambda finding: severities.index(finding.severity))

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
    chosen = read_held_superblock(reader, live) if options.held else live
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
    most = (1 << layout.TIME_BITS) - 1
    if live.time > most:
        what = "time of the superblock"
        report.findings.append(Finding(Severity.FATAL, "wild-time", 0, what, f"at most {most}", live.time))
    size, due = reader.size // BLOCK, live.metadata_space_map.nr_blocks
    if size < due:
        what = "metadata device, in blocks of 4096 bytes,"
        report.findings.append(Finding(Severity.FATAL, "size", 0, what, f"at least {due}", size))


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
        self.report.devices += len(devices.list_ids())
        self.add(match_devices(superblock, devices))
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

    def read_devices(self, superblock: Superblock) -> SurveyedDevices:
        """The devices, with what is damaged on the way to them in the report."""
        devices = survey_devices(self.survey, superblock)
        known = devices.list_ids()
        for damage in self.take_damages():
            hit = known[bisect_left(known, damage.low) : bisect_right(known, damage.high)]
            self.add([from_damage(damage, tuple(map(Affected, hit)))])
        return devices

    def check_mappings(self, devices: SurveyedDevices) -> None:
        """Every mapping that was not visited before, and how many each device has."""
        beyond = False
        roots = devices.roots
        for _, values in self.survey.visit_trees(MAPPINGS, devices.fresh.values(), owners=devices.fresh.keys()):
            data = get_data_blocks(values)
            self.latest = max(self.latest, int(get_times(values).max()))
            if int(data.max()) >= self.data_blocks:
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
            self.add(find_beyond(self.survey, roots, self.data_blocks))

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


def _hides_references(damage: Damage) -> bool:
    """Whether there may be references that cannot be read for it; a bitmap holds none."""
    return damage.loses and not damage.what.startswith("bitmap:")


def _from_map_damage(damage: Damage) -> Finding:
    """Damage in a space map: blocks that cannot be read are fatal, wrong sums are not; those that only hide room are a
    note, as the kernel goes on with them and loses but that room.
    """
    if damage.loses:
        return from_damage(damage)
    severity = Severity.NOTE if damage.hides_room else Severity.MILD
    return from_damage(damage, severity=severity, kind="wrong-summary")
