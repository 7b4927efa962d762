"""How far a run is: JSON lines, and a line a minute for a log."""

from __future__ import annotations

import json

import pytest

from drystone.cli.backup.progress import show_progress

GIB = 1 << 30


class Seconds:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_json_lines_tell_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Seconds()
    with show_progress("backup", as_json=True, clock=clock) as report:
        report(0, 1000)
        clock.now += 0.4
        report(10, 1000)
        clock.now += 1.6
        report(200, 1000)
        report(1000, 1000)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        {"progress": "backup", "done": 0, "total": 1000, "rate": 0},
        {"progress": "backup", "done": 200, "total": 1000, "rate": 100, "left": 8},
        {"progress": "backup", "done": 1000, "total": 1000, "rate": 500, "left": 0},
    ]


def test_json_lines_of_a_stream_have_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Seconds()
    with show_progress("backup", as_json=True, clock=clock) as report:
        report(0, 0)
        report(5, 0)
        clock.now += 1
        report(500, 0)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines == [{"progress": "backup", "done": 0, "rate": 0}, {"progress": "backup", "done": 500, "rate": 500}]


def test_a_log_gets_a_line_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Seconds()
    with show_progress("backup", as_json=False, clock=clock) as report:
        for second in range(125):
            clock.now = 1000.0 + second
            report(second * GIB, 10_000 * GIB)
        clock.now = 1180.0
        report(180 * GIB, 0)
    assert capsys.readouterr().err.splitlines() == [
        "backup: 60.0 GiB of 9.8 TiB, 1.0 GiB a second, 2 h 46 min left",
        "backup: 120.0 GiB of 9.8 TiB, 1.0 GiB a second, 2 h 45 min left",
        "backup: 180.0 GiB, 1.0 GiB a second",
    ]


def test_a_short_run_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with show_progress("backup", as_json=False) as report:
        report(0, 100)
        report(100, 100)
    assert capsys.readouterr().err == ""
