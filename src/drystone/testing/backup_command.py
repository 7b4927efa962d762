"""`drystone backup` as its users run it, at a store of a test: a process of its own, with the store's variables."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_MIB = 1 << 20
_SECONDS = 300


@dataclass(frozen=True, slots=True)
class BackupCommand:
    """The command line with a store's `variables`.

    :ivar secret: what may be in nothing that is printed.
    :ivar unset: variables whose names begin so are not taken over from the environment of the test; "": all are.
    """

    variables: dict[str, str]
    secret: str
    unset: str = ""

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """The running command, with pipes at stdout and stderr, and no stdin."""
        kept = {name: text for name, text in os.environ.items() if not self.unset or not name.startswith(self.unset)}
        return subprocess.Popen(
            [sys.executable, "-m", "drystone.cli.main", "backup", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**kept, **self.variables},
        )

    def run(self, *words: str | Path, code: int = 0) -> str:
        """stdout; of a failure stderr.

        :raises AssertionError: another exit code, or the secret was printed.
        """
        process = self.start(*words)
        out, err = process.communicate(timeout=_SECONDS)
        assert process.returncode == code, err
        assert self.secret not in out + err
        return err if code else out

    def document(self, *words: str | Path) -> Any:
        """What it prints with --json."""
        return json.loads(self.run(*words, "--json"))


def write_image(path: Path, seed: int, size: int = 24 * _MIB) -> None:
    """Half random, a quarter text, the rest a hole."""
    with path.open("wb") as file:
        file.write(random.Random(seed).randbytes(size // 2))  # noqa: S311  # it repeats itself on purpose
        file.write((b"drystone %d " % seed) * (size // 4 // 16))
        file.truncate(size)


def check_backups_live(command: BackupCommand, dest: str, folder: Path, forget: tuple[str, ...]) -> None:
    """A backup, another one of a file that changed a little, both restored; then the first one is forgotten.

    :param folder: empty. :param forget: the words that forget it, "{first}" and "{dest}" in them replaced.
    :raises AssertionError: what is restored is something else, or more was stored than what changed.
    """
    image, back = folder / "image", folder / "back"
    write_image(image, 1)
    first = command.run("create", image, "--dest", dest, "--no-encryption").strip()
    assert first.startswith(f"{dest}?backup=")
    before = image.read_bytes()
    with image.open("r+b") as file:
        file.seek(5 * _MIB)
        file.write(os.urandom(_MIB))
    second = command.document("create", image, "--dest", dest)
    assert second["stored"] < 4 * _MIB, "only what changed was stored"
    assert [each["url"] for each in command.document("list", dest)] == [first, second["url"]]
    for url, content in ((first, before), (second["url"], image.read_bytes())):
        command.run("verify", url)
        command.run("restore", url, back, "--overwrite")
        assert back.read_bytes() == content
    command.run(*(word.format(first=first, dest=dest) for word in forget))
    assert [each["url"] for each in command.document("list", dest)] == [second["url"]]
    command.run("restore", second["url"], back, "--overwrite")
    assert back.read_bytes() == image.read_bytes()
    assert "there is no backup" in command.run("restore", first, folder / "none", code=3)
