"""Recorded runs: which can be repeated, and what counts as another answer."""

from __future__ import annotations

import pytest

from drystone.base.documents import encode
from drystone.base.errors import UsageError
from drystone.dvm.session import Blob, Run, find_difference, is_repeatable, parse_session, to_bytes, to_content

OLD = "11111111-1111-4111-8111-111111111111"
NEW = "22222222-2222-4222-8222-222222222222"
NEWER = "33333333-3333-4333-8333-333333333333"


def run(*argv: str, stdin: str = "", stdout: str = "", **files: str) -> Run:
    return Run(at="2026-01-02T15:04:05+01:00", argv=argv, stdin=stdin, stdout=stdout, files=dict(files))


def test_lines_come_back() -> None:
    runs = (run("metadata", "x", stdin="a", f="b"), Run(at="x", argv=("y",), stdout=Blob(b"\xff\x00"), exit=-9))
    data = b"\n".join(map(encode, runs)) + b"\n\n"
    assert parse_session(data, "log") == runs
    assert to_bytes(to_content(b"\xff")) == b"\xff"
    assert to_content("é".encode()) == "é"


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"at": "x"}', b'{"at": "x", "argv": [], "version": 2}'])
def test_a_line_that_is_none_is_told_by_its_number(line: bytes) -> None:
    with pytest.raises(UsageError, match="log, line 2: "):
        parse_session(encode(run("x")) + b"\n" + line, "log")


@pytest.mark.parametrize(
    ("case", "is_one"),
    [
        (run("metadata", "create"), True),
        (run("plan", "x"), True),
        (run("report"), True),
        (run("report", "--live"), False),
        (run("report", "live"), False),
        (run("dmexec"), False),
        (run("dmexec", "--check"), True),
        (run("dmactivate", stdin='{"params": "7:0 0"}'), True),
        (run("dmactivate", stdin='{"params": "/dev/sda 0"}'), False),
        (run("dmactivate", stdin='{"params": "core 1 1 2 /dev/sda 0"}'), False),
        (run("discover", "find"), False),
        (run("transact", "read"), False),
        (run("observe"), False),
        (run(), False),
        (run("unknown"), False),
    ],
)
def test_which_runs_need_no_device(case: Run, is_one: bool) -> None:
    assert is_repeatable(case) is is_one


def test_new_uuids_may_be_others_and_known_ones_may_not() -> None:
    before = run("metadata", stdin=OLD, stdout=f"a {OLD}\nb {NEW} {NEW}\n")
    assert find_difference(before, 0, f"a {OLD}\nb {NEWER} {NEWER}\n".encode(), b"") == ""
    assert "line 1" in find_difference(before, 0, f"a {NEW}\nb {NEWER} {NEWER}\n".encode(), b"")
    assert "line 2" in find_difference(before, 0, f"a {OLD}\nb {NEWER} {NEW}\n".encode(), b"")


def test_any_other_difference_is_told() -> None:
    before = run("metadata", stdout="a\nb\n")
    assert find_difference(before, 0, b"a\nb\n", b"") == ""
    assert find_difference(before, 3, b"a\nb\n", b"") == "exit code 3, it was 0"
    assert find_difference(before, 0, b"a\nc\n", b"") == "stdout, line 2: c, it was b"
    assert find_difference(before, 0, b"a\nb\n", b"\xff") == "stderr, line 1: \\xff, it was "
    assert find_difference(before, 0, b"a\nb", b"") == "stdout, line 3: (nothing), it was "
