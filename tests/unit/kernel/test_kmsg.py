"""The kernel's log, from a pipe in its place."""

from __future__ import annotations

from pathlib import Path

from drystone.kernel.kmsg import KernelLog, parse_record


def test_a_record_has_one_line_of_text() -> None:
    assert parse_record(b"6,12,3456,-;device-mapper: table: no\n SUBSYSTEM=block\n") == "device-mapper: table: no"


def test_what_is_no_record() -> None:
    assert parse_record(b"") is None
    assert parse_record(b"6;text") is None
    assert parse_record(b"6,1,2 without an end") is None


def test_a_log_that_may_not_be_read_is_empty(tmp_path: Path) -> None:
    log = KernelLog(str(tmp_path / "missing"))
    assert log.read("x") == []
    log.mark()
    assert log.read("x") == []
    log.close()


def test_what_was_logged_before_the_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"6,1,1,-;dm: old\n")
    log = KernelLog(str(path))
    log.mark()
    with path.open("ab") as file:
        file.write(b"6,2,2,-;dm: new\n")
    assert log.read("dm:") == ["dm: new"]
    assert log.read("dm:") == []
    log.close()
