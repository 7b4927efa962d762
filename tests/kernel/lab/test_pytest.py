"""Tests that run in guests, seen from the pytest that started them: what fails, hangs or ends a guest."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = """
import os, pathlib, time
import pytest

pytestmark = [pytest.mark.in_guest, pytest.mark.lab(memory="128M")]

def double(number):
    return 2 * number

def test_passes():
    time.sleep(0.2)

def test_compares():
    print("said in the guest")
    assert double(2) == 5

@pytest.mark.timeout(1)
def test_hangs():
    time.sleep(60)

def test_is_after_that():
    pass

def test_cuts_the_power():
    pathlib.Path("/proc/sysrq-trigger").write_text("o")
    time.sleep(60)

def test_is_never_run():
    pass
"""


PANIC = """
import pathlib, time
import pytest

pytestmark = [pytest.mark.in_guest, pytest.mark.lab(memory="128M")]

def test_goes_well():
    pass

def test_panics():
    pathlib.Path("/proc/sysrq-trigger").write_text("c")
    time.sleep(60)

def test_follows():
    pass
"""


def run_pytest(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--import-mode=importlib", *words],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.mark.usefixtures("driver")
def test_every_end_of_a_test_is_told_where_it_happened(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_ends.py").write_text(MODULE)
    code, text = run_pytest(tmp_path / "sub", "../test_ends.py", "-v", "--durations=3")
    assert code == 1
    outcomes = re.findall(r"^\S*test_ends.py::(\w+) (\w+)", text, re.MULTILINE)
    assert outcomes == [
        ("test_passes", "PASSED"),
        ("test_compares", "FAILED"),
        ("test_hangs", "FAILED"),
        ("test_is_after_that", "PASSED"),
        ("test_cuts_the_power", "FAILED"),
        ("test_is_never_run", "FAILED"),
    ]
    assert "assert 4 == 5" in text
    assert "where 4 = double(2)" in text
    assert "said in the guest" in text
    assert "Timeout (>1.0s)" in text
    assert "guest node1 went away: it was powered off" in text
    assert "not run, for the trouble that is reported at test_ends.py::test_cuts_the_power" in text
    assert re.search(r"0\.[2-9][0-9]s call +test_ends.py::test_passes", text)
    # The cache has them; only those that are asked for are run, and -x stops at the first.
    code, text = run_pytest(tmp_path, "--last-failed", "-x", "-k", "compares or hangs", "-q", "--tb=no")
    assert code == 1
    assert re.search(r"^1 failed, [0-9]+ deselected", text, re.MULTILINE)


@pytest.mark.usefixtures("driver")
def test_a_guest_that_cannot_be_is_told_without_a_boot(tmp_path: Path) -> None:
    (tmp_path / "test_no_guest.py").write_text(MODULE.replace("128M", "1M"))
    code, text = run_pytest(tmp_path, "-p", "no:cacheprovider", "-k", "passes or compares")
    assert code == 1
    assert "the guest did not come up: a guest does not boot with 1.0 MiB of memory" in text
    assert "2 failed" in text


@pytest.mark.usefixtures("driver")
def test_a_test_that_panics_the_kernel_fails_and_what_follows_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_panic.py").write_text(PANIC)
    code, text = run_pytest(tmp_path, "test_panic.py")
    assert code == 1
    assert "1 passed" in text
    assert "2 failed" in text
    assert "Kernel panic" in text
    assert "not run, for the trouble that is reported at test_panic.py::test_panics" in text
