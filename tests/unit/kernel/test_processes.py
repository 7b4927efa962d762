"""What processes say of themselves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from drystone.kernel.processes import program_of


def test_this_one() -> None:
    assert program_of(os.getpid()).split()[0].endswith(Path(sys.executable).name) or "pytest" in program_of(os.getpid())


def test_one_without_words_and_none(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cmdline").write_bytes(b"")
    (tmp_path / "7" / "comm").write_bytes(b"kthreadd\n")
    assert program_of(7, tmp_path) == "kthreadd"
    (tmp_path / "7" / "cmdline").write_bytes(b"convoy\0create\0db\0")
    assert program_of(7, tmp_path) == "convoy create db"
    assert program_of(8, tmp_path) == ""


def test_what_is_no_text_is_escaped(tmp_path: Path) -> None:
    """A trail has it on one line, in UTF-8; a terminal is told nothing by it."""
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cmdline").write_bytes(
        b"curl\0caf\xe9\0na\xc3\xafve\0two\nlines\0\x1b[2J\0" + b"\xe2\x82\xac" * 900
    )
    told = program_of(7, tmp_path)
    assert told.startswith("curl caf\\xe9 na\u00efve two\\nlines \\x1b[2J \u20ac\u20ac")
    assert len(told) == 500
    assert told.encode().decode() == told
