"""A storage server that is told to end before it has heard of a mapper."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

from drystone.testing.fleet.processes import find_port, wait_until


def test_it_ends_orderly_while_it_waits_for_its_first_mapper(tmp_path: Path) -> None:
    (tmp_path / "data_1").mkdir()
    secret = tmp_path / "secret"
    secret.write_text("sixteen-characters-or-more\n")
    secret.chmod(0o600)
    port, nobody = find_port(), find_port()
    options = {
        "--id": "s1",
        "--listen": f"127.0.0.1:{port}",
        "--mapper": f"http://127.0.0.1:{nobody}",
        "--root": f"{tmp_path}",
        "--state": f"{tmp_path / 'state'}",
        "--secret": f"{secret}",
    }
    words = [word for pair in options.items() for word in pair]
    with subprocess.Popen(
        [sys.executable, "-m", "drystone.cli.main", "fleet", "storage", *words], stderr=subprocess.DEVNULL
    ) as process:
        try:
            wait_until("it listens", lambda: answers(port))
            process.send_signal(signal.SIGTERM)
            assert process.wait(120) == 0
        finally:
            process.kill()


def answers(port: int) -> bool:
    """Whether somebody listens."""
    with socket.socket() as handle:
        return handle.connect_ex(("127.0.0.1", port)) == 0
