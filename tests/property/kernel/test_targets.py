"""Parsers of target parameters and statuses: any text is a value or a UsageError, and values survive their text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.base.errors import UsageError
from drystone.kernel.dm.abc import TableLine, TargetStatus
from drystone.kernel.dm.statuses import STATUSES, parse_status
from drystone.kernel.dm.targets import TARGETS, devices, make_line, parse_target
from drystone.kernel.dm.words import join_words, split_words

WORDS = st.sampled_from(
    (
        *(
            "0",
            "1",
            "2",
            "3",
            "8",
            "128",
            "1024",
            "-",
            "7:0",
            "253:1",
            "{a}",
            "/dev/x",
            "core",
            "disk",
            "sync",
            "nosync",
        ),
        *("raid1", "rebuild", "journal_dev", "P", "N", "handle_errors", "read_only", "smq", "rw", "ro", "1/2", "Fail"),
        *("discard_passdown", "queue_if_no_space", "needs_check", "AA", "99999999999999999999999"),
    )
)
TEXTS = st.one_of(st.lists(WORDS, max_size=16).map(" ".join), st.text(max_size=60))


@given(st.sampled_from([*TARGETS, "other"]), TEXTS)
@settings(max_examples=600, deadline=None)
def test_parameters(kind: str, text: str) -> None:
    line = TableLine(0, 8, kind, text)
    try:
        value = parse_target(line)
    except UsageError:
        return
    assert parse_target(make_line(0, 8, value)) == value
    assert devices(make_line(0, 8, value)) == devices(line)


@given(st.sampled_from([*STATUSES, "other"]), TEXTS)
@settings(max_examples=400, deadline=None)
def test_statuses(kind: str, text: str) -> None:
    try:
        parse_status(TargetStatus(0, 8, kind, text))
    except UsageError:
        return


@given(st.lists(st.text(min_size=1, max_size=8), max_size=6))
def test_words_come_back(words: list[str]) -> None:
    assert split_words(join_words(words)) == words
