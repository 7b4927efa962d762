"""Passphrases that are asked for on a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

_PATIENCE = 60.0


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(b"content " * 50_000)
    return path


def talk(words: list[str], answers: list[str]) -> tuple[int, str, str]:
    """Run `drystone backup` with a terminal on stdin and stderr, and type an answer at each question.

    Exit code, stdout, and what was seen on the terminal.
    """
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("DRYSTONE_PASSPHRASE")}
    command = ["setsid", "--ctty", "--wait", sys.executable, "-m", "drystone.cli.main", "backup", *words]
    process = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True, env=environ)
    os.close(theirs)
    try:
        return _answer(process, ours, answers)
    finally:
        process.kill()
        process.communicate()
        os.close(ours)


def _asks(terminal: int, seen: str) -> bool:
    """Whether a question is all there: what is typed before the terminal shows nothing any more is thrown away."""
    return seen.rstrip(" ").endswith(":") and not termios.tcgetattr(terminal)[3] & termios.ECHO


def _answer(process: subprocess.Popen[str], ours: int, answers: list[str]) -> tuple[int, str, str]:
    seen = ""
    answered = 0
    limit = time.monotonic() + _PATIENCE
    while time.monotonic() < limit:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                seen += os.read(ours, 4096).decode()
            except OSError:  # the terminal's last user has gone
                break
        if answered < len(answers) and _asks(ours, seen):
            os.write(ours, f"{answers[answered]}\n".encode())
            seen += "\n"
            answered += 1
    out, _ = process.communicate(timeout=_PATIENCE)
    assert answered == len(answers), seen
    return process.returncode, out, seen


def test_a_new_passphrase_is_asked_for_twice_and_then_once(image: Path, tmp_path: Path) -> None:
    dest = f"vfs://{tmp_path}/backups"
    create = ["create", str(image), "--dest", dest]
    code, out, seen = talk(create, ["a word", "another"])
    assert (code, out, "differ" in seen) == (2, "", True)
    assert not (tmp_path / "backups").exists()
    code, out, seen = talk(create, ["a word", "a word"])
    assert code == 0, seen
    assert "Without the passphrase nobody can restore" in seen
    assert "a word" not in seen, "nothing of it is shown"
    url = out.strip()
    assert talk(["verify", url], ["a word"])[0] == 0
    code, _, seen = talk(["verify", url], ["wrong"])
    assert (code, "fits none" in seen) == (2, True)
    code, out, seen = talk(["key", "add", dest, "--label", "mine"], ["a word", "second", "second"])
    assert code == 0, seen
    assert talk(["verify", url], ["second"])[0] == 0


def test_nothing_is_asked_where_nothing_is_encrypted(image: Path, tmp_path: Path) -> None:
    dest = f"vfs://{tmp_path}/backups"
    assert talk(["create", str(image), "--dest", dest, "--no-encryption"], [])[0] == 0
    assert talk(["list", dest], [])[0] == 0
