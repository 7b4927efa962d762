"""Programs as functions of bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drystone.base.errors import KernelError, NotFoundError, TimedOutError
from drystone.kernel.pipe import run_piped


def test_bytes_in_and_out() -> None:
    done = run_piped(["sh", "-c", "tr a-z A-Z; echo why >&2; exit 3"], b"abc\xff")
    assert (done.code, done.stdout, done.stderr) == (3, b"ABC\xff", b"why\n")


def test_the_folder_that_it_runs_in(tmp_path: Path) -> None:
    assert run_piped(["pwd"], b"", cwd=str(tmp_path)).stdout.decode().strip() == str(tmp_path)


def test_a_program_that_does_not_read() -> None:
    assert run_piped(["true"], b"x" * (1 << 20)).code == 0


def test_programs_that_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no program"):
        run_piped(["no-such-program-at-all"], b"")
    with pytest.raises(KernelError, match="run"):
        run_piped([str(tmp_path)], b"")


def test_one_that_takes_too_long_is_ended() -> None:
    with pytest.raises(TimedOutError, match="longer than"):
        run_piped([sys.executable, "-c", "import time; time.sleep(60)"], b"", timeout_s=0.1)
