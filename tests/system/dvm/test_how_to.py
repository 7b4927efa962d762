"""What docs/how-to/group-metadata.md says to type, typed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "group-metadata.md"


def test_the_page_works_as_it_stands(tmp_path: Path) -> None:
    lines = [line[4:] for line in PAGE.read_text().splitlines() if line.startswith("    ")]
    assert len(lines) > 20
    # The page's machine has its disks; here only the files count. And `verify` of what is broken is meant to fail.
    (tmp_path / "dvm.toml").write_text("[discover]\ndevices = false\n")
    text = "\n".join(lines).replace("$files", "$files -c dvm.toml")
    broken = "dvm transact verify vg --text < devices"
    assert broken in text
    text = text.replace(broken, f"! {broken}")
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "dvm").write_text(f'#!/bin/sh\nexec {sys.executable} -m drystone.cli.dvm "$@"\n')
    (tools / "dvm").chmod(0o755)
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", text],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert "is missing; it was at" in done.stdout
    assert '"different": 0' in done.stdout
