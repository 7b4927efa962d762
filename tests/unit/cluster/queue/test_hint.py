"""Hints in words, and what is none."""

from __future__ import annotations

import pytest

from drystone.cluster.queue.hint import Hint, decode_hint, encode_hint, hints_of


def test_a_hint_comes_back() -> None:
    hint = Hint("snapshot", "db@møndag")
    assert decode_hint(encode_hint(hint)) == hint


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x80",
        b"null",
        b'{"kind":"dlv"}',
        b'{"kind":"token","subject":"db"}',
        b'{"kind":"dlv","subject":7}',
        b'{"kind":"dlv","subject":""}',
        b'{"kind":"dlv","subject":"%s"}' % (b"d" * 201),
        b"[" * 100_000,
        b'{"kind":"dlv","subject":"db"}' + b" " * 1000,
        b"\x80\x04\x95\x1e\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.",
    ],
)
def test_what_is_no_hint_says_nothing(message: bytes) -> None:
    assert decode_hint(message) is None


def test_events_hint_at_what_they_are_of_once() -> None:
    events = [("dlv", "db"), ("dvg", "fast"), ("dlv", "db"), ("job", "j1"), ("echo", "x"), ("dpv", "")]
    found = hints_of({"kind": kind, "subject": subject, "what": "made"} for kind, subject in events)
    assert found == [Hint("dlv", "db"), Hint("job", "j1")]
