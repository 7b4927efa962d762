"""`drystone backup`'s helps start without the libraries that its work needs."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("blake3", "cryptography", "msgspec", "numpy", "obstore", "prometheus_client", "rich", "zstandard")

PROGRAM = f"""
import sys
from drystone.cli.backup import COMMANDS
from drystone.cli.exits import run
from drystone.cli.main import drystone

for words in [[], *([name] for name in COMMANDS)]:
    assert run(drystone, ["backup", *words, "--help"]) == 0
    loaded = set({HEAVY!r}) & set(sys.modules)
    assert not loaded, (words, loaded)
"""


def test_no_help_loads_what_only_work_needs() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "Usage: drystone backup" in ran.stdout
