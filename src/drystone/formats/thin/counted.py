"""A space map held against the references that were counted: leaked blocks, blocks marked free that are in use, and
every other count that is off, neighbours with the same fault as one finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.bitmaps import UNKNOWN, CountBatch, SpaceMapKind
from drystone.formats.pdata.counts import ReferenceCounts
from drystone.formats.thin.findings import Finding, Severity

MOST_FINDINGS = 10_000
"""Runs of wrong counts that are told one by one for a space map; what follows is one finding with their number."""

NAMES = {SpaceMapKind.METADATA: "metadata", SpaceMapKind.DATA: "data"}


@dataclass(frozen=True, slots=True)
class WrongCounts:
    """Neighbouring blocks `begin` to `end` - 1 that are referred to `due` times, `stored` in the space map."""

    begin: int
    end: int
    due: int
    stored: int


def iter_wrong_counts(
    batches: Iterable[CountBatch], counts: ReferenceCounts, *, partial: bool = False
) -> Iterator[WrongCounts]:
    """Runs of blocks whose count in a space map is not that of `counts`.

    :param batches: the space map. Counts that it has lost are not compared, nor those of blocks that do not exist.
    :param partial: `counts` may have missed references, as trees are damaged: only stored counts that are too low
        even so are told.
    """
    for batch in batches:
        due = counts.get_range(batch.begin, min(batch.begin + len(batch), counts.nr_blocks))
        stored = batch.counts[: len(due)]
        wrong = stored < due if partial else stored != due
        wrong &= stored != UNKNOWN
        places = np.flatnonzero(wrong)
        if len(places):
            yield from _join_runs(batch.begin, places, due[places], stored[places])


def _join_runs(begin: int, places: NDArray[Any], due: NDArray[Any], stored: NDArray[Any]) -> Iterator[WrongCounts]:
    breaks = (np.diff(places) != 1) | (np.diff(due.astype(np.int64)) != 0) | (np.diff(stored.astype(np.int64)) != 0)
    firsts = np.concatenate(([0], np.flatnonzero(breaks) + 1))
    lasts = np.concatenate((firsts[1:] - 1, [len(places) - 1]))
    for first, last in zip(firsts.tolist(), lasts.tolist(), strict=True):
        run = begin + int(places[first]), begin + int(places[last]) + 1
        yield WrongCounts(*run, int(due[first]), int(stored[first]))


def list_count_findings(kind: SpaceMapKind, wrong: Iterable[WrongCounts]) -> list[Finding]:
    """The findings for these runs; those beyond MOST_FINDINGS are summed up, and as bad as the worst of them."""
    findings: list[Finding] = []
    rest: list[Finding] = []
    blocks = runs = 0
    for run in wrong:
        finding = _make_finding(kind, run)
        if len(findings) < MOST_FINDINGS:
            findings.append(finding)
            continue
        runs += 1
        blocks += run.end - run.begin
        if not rest or (rest[0].severity, finding.severity) == (Severity.MILD, Severity.FATAL):
            rest = [finding]
    for worst in rest:
        what = f"reference counts of {blocks} more {NAMES[kind]} blocks in {runs} runs"
        findings.append(Finding(worst.severity, worst.kind, None, what, "those of the trees", "others"))
    return findings


def _make_finding(kind: SpaceMapKind, run: WrongCounts) -> Finding:
    """Leaks are mild: space is lost. Every other wrong count is fatal, as thin_check has it."""
    if run.due == 0:
        name, severity = "leaked", Severity.MILD
    elif run.stored == 0:
        name, severity = "freed", Severity.FATAL
    else:
        name, severity = ("low-count" if run.stored < run.due else "high-count"), Severity.FATAL
    blocks = f"block {run.begin}" if run.end - run.begin == 1 else f"blocks {run.begin} to {run.end - 1}"
    what = f"{kind.value}: reference count of {NAMES[kind]} {blocks}"
    return Finding(severity, name, None, what, run.due, run.stored, begin=run.begin, end=run.end)
