"""Servers as processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError
from drystone.testing.server import ServerProcess, why_absent

PROGRAM = "import sys; print('starting\\nport', 7, flush=True); sys.stdin.read(); print('over', flush=True)"


def read_port(line: str) -> int | None:
    word, _, number = line.partition(" ")
    return int(number) if word == "port" else None


def test_why_a_server_is_absent(tmp_path: Path) -> None:
    assert why_absent("s3-server", "S3", tmp_path) == (
        "the S3 server is not here: nobody installed it (scripts/s3-server --again)"
    )
    folder = tmp_path / ".azure-server"
    folder.mkdir()
    (folder / "failed").write_text("pip could not\n")
    assert "the Azure server is not here: pip could not (" in why_absent("azure-server", "Azure", tmp_path)
    (folder / "ready-0123").touch()
    assert why_absent("azure-server", "Azure", tmp_path) == ""


def test_the_line_with_the_port_is_waited_for(tmp_path: Path) -> None:
    server = ServerProcess("test", tmp_path / "deep" / "log")
    try:
        assert server.start([sys.executable, "-c", PROGRAM], read_port) == 7
        server.pause()
        server.resume()
    finally:
        server.kill()
    server.kill()


def test_a_server_that_ends_at_once(tmp_path: Path) -> None:
    server = ServerProcess("test", tmp_path / "log")
    program = "import sys; print('starting'); sys.exit('no room')"
    with pytest.raises(UnavailableError, match="the test server did not start"):
        server.start([sys.executable, "-c", program], read_port)
    assert "no room" in (tmp_path / "log").read_text()


def test_a_server_ends_with_its_test(tmp_path: Path) -> None:
    mark = tmp_path / "over"
    inner = f"import sys; print('port', 1, flush=True); sys.stdin.read(); open({str(mark)!r}, 'w')"
    outer = (
        "import os, sys; from pathlib import Path; from drystone.testing.server import ServerProcess\n"
        f"server = ServerProcess('test', Path({str(tmp_path / 'log')!r}))\n"
        f"server.start([sys.executable, '-c', {inner!r}], lambda line: 1)\n"
        "os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", outer], check=False).returncode == -9
    deadline = time.monotonic() + 120
    while not mark.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
