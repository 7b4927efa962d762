"""Wrong counts of a space map as findings: leaked blocks, blocks marked free that are in use, and all others."""

from __future__ import annotations

from collections.abc import Iterable

from drystone.formats.pdata.bitmaps import SpaceMapKind
from drystone.formats.pdata.wrong_counts import WrongCounts
from drystone.formats.thin.findings import Finding, Severity

MOST_FINDINGS = 10_000
"""Runs of wrong counts that are told one by one for a space map; what follows is one finding with their number."""

NAMES = {SpaceMapKind.METADATA: "metadata", SpaceMapKind.DATA: "data"}


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
