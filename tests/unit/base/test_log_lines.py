"""A line for each record, which a program can read back."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path

import pytest

from drystone.base.log_lines import JsonLines, set_up_log


def make(message: str, *words: object) -> logging.LogRecord:
    return logging.LogRecord("drystone.x", logging.WARNING, "f.py", 1, message, words, None)


def test_a_record_is_one_line_whatever_is_in_it() -> None:
    text = JsonLines().format(make('pool %s\nis "low"', "ä"))
    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["logger"], line["message"]) == ("warning", "drystone.x", 'pool ä\nis "low"')
    assert line["at"].endswith("+00:00")
    assert "trace" not in line


def test_a_trace_is_part_of_it() -> None:
    record = make("failed")
    try:
        raise ValueError("why")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert "ValueError: why" in json.loads(JsonLines().format(record))["trace"]


@pytest.mark.parametrize("as_json", [False, True])
def test_where_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool) -> None:
    root = logging.RootLogger(logging.WARNING)
    monkeypatch.setattr(logging, "root", root)
    set_up_log(str(tmp_path / "log"), debug=False, as_json=as_json)
    root.debug("not told")
    root.info("told")
    for each in root.handlers:
        each.close()
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert (json.loads(line)["message"] if as_json else line.split(": ")[1]) == "told"
