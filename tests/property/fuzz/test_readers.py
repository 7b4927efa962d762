"""Every reader of stored bytes against mutated ones: a bounded number here, a million by scripts/fuzz.py."""

from __future__ import annotations

import pytest

from drystone.testing.fuzz.campaign import run_subject
from drystone.testing.fuzz.subjects import SUBJECTS, Subject

CASES = 1500
"""Shared out as in a campaign, with a hundred at least."""


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
def test_each_case_is_read_or_refused(subject: Subject) -> None:
    tally = run_subject(subject, max(CASES * subject.share // 1000, 100), seed=20)
    assert [(failure.case, failure.reason) for failure in tally.failures] == []
    assert tally.read + tally.refused == tally.cases
    assert tally.memory < 1 << 30
