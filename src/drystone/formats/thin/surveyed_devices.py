"""The devices of a pool as they are found past damage, and whether each has both details and mappings: for a check."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from drystone.formats.pdata.damage import Damage
from drystone.formats.pdata.survey import Survey
from drystone.formats.thin import layout
from drystone.formats.thin.device_trees import DETAILS, TOP
from drystone.formats.thin.findings import Affected, Finding, Severity
from drystone.formats.thin.superblock import Superblock


@dataclass(frozen=True, slots=True)
class SurveyedDevices:
    """The devices of one superblock.

    :ivar mapped: id -> mapped blocks, out of the details. :ivar roots: id -> root of its mappings.
    :ivar fresh: those of `roots` that the survey had not met before, out of other leaves of the top level.
    :ivar lost_details: ids whose details may be lost: first and last, both included. :ivar lost_roots: ids whose roots
        may be lost.
    """

    mapped: dict[int, int]
    roots: dict[int, int]
    fresh: dict[int, int]
    lost_details: list[tuple[int, int]]
    lost_roots: list[tuple[int, int]]

    def list_ids(self) -> list[int]:
        """All ids, ascending."""
        return sorted({*self.mapped, *self.roots})


def survey_devices(survey: Survey, superblock: Superblock) -> SurveyedDevices:
    """Details and roots of all devices, shared or not. Counts the references in `survey`, where damages are listed too.

    A survey gives out what it has seen before no more, so that the ids are read by another one.
    """
    reading = Survey(survey.reader)
    mapped: dict[int, int] = {}
    for ids, values in reading.iter_entries(DETAILS, superblock.device_details_root):
        mapped.update(zip(ids.tolist(), values["mapped_blocks"].tolist(), strict=True))
    lost_details = _list_lost(reading.damages)
    begin = len(reading.damages)
    roots: dict[int, int] = {}
    for ids, values in reading.iter_entries(TOP, superblock.data_mapping_root):
        roots.update(zip(ids.tolist(), values.tolist(), strict=True))
    lost_roots = _list_lost(reading.damages[begin:])
    for _ in survey.visit_tree(DETAILS, superblock.device_details_root):
        pass
    fresh: dict[int, int] = {}
    for ids, values in survey.visit_tree(TOP, superblock.data_mapping_root):
        fresh.update(zip(ids.tolist(), values.tolist(), strict=True))
    return SurveyedDevices(mapped, roots, fresh, lost_details, lost_roots)


def match_devices(superblock: Superblock, devices: SurveyedDevices) -> Iterable[Finding]:
    """Every device has a possible id, and both details and mappings, unless one lies in what is damaged."""
    for dev_id in devices.list_ids():
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


def _list_lost(damages: Iterable[Damage]) -> list[tuple[int, int]]:
    return [(damage.low, damage.high) for damage in damages if damage.loses]
