from __future__ import annotations

import os
import subprocess
import sys

import pytest

_CODE = """
import gc, os
from drystone.cli.start_up import spare_numpy
spare_numpy()
import numpy
print(len(os.listdir("/proc/self/task")), os.environ["OPENBLAS_NUM_THREADS"], gc.get_threshold()[0] > 700)
"""


@pytest.mark.parametrize(("own", "expected"), [(None, "1"), ("2", "2")])
def test_numpy_starts_no_threads_unless_the_user_wants_them(own: str | None, expected: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if own is not None:
        environment["OPENBLAS_NUM_THREADS"] = own
    done = subprocess.run([sys.executable, "-c", _CODE], check=True, capture_output=True, text=True, env=environment)
    threads, setting, seldom = done.stdout.split()
    assert setting == expected
    assert seldom == "True"
    if own is None:
        assert threads == "1"


@pytest.mark.parametrize("words", [["pdata_tools", "thin_ls"], ["main", "thin", "ls"], ["main", "era", "dump"]])
def test_the_metadata_tools_begin_so(words: list[str]) -> None:
    program, *rest = words
    group = {"pdata_tools": "pdata_tools", "main": "drystone"}[program]
    code = f"""
import os
from drystone.cli.exits import run
from drystone.cli.{program} import {group}
run({group}, {[*rest, "no-such-file"]!r})
print(os.environ["OPENBLAS_NUM_THREADS"])
"""
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout == "1\n"
