"""A whole life of backups at a real Azure server by the command line."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drystone.testing.azure import KEY, AzureServer, start_server, why_absent
from drystone.testing.proxy import CutAnswer, Fault, FaultyProxy

MIB = 1 << 20


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    if why := why_absent():
        pytest.skip(why)
    with start_server(tmp_path_factory.mktemp("azure")) as started:
        yield started


@dataclass(frozen=True, slots=True)
class Cli:
    """The command line with a server's variables, and no others of Azure's."""

    variables: dict[str, str]

    def run(self, *words: str | Path, code: int = 0) -> str:
        """stdout; of a failure stderr. Neither ever holds the key."""
        environ = {name: text for name, text in os.environ.items() if not name.startswith("AZURE")}
        done = subprocess.run(
            [sys.executable, "-m", "drystone.cli.main", "backup", *words],
            check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
            env={**environ, **self.variables},
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert KEY not in done.stdout + done.stderr
        return done.stderr if code else done.stdout

    def document(self, *words: str | Path) -> Any:
        return json.loads(self.run(*words, "--json"))


def write_image(path: Path, seed: int) -> None:
    """16 MiB: half random, a quarter text, the rest a hole."""
    with path.open("wb") as file:
        file.write(random.Random(seed).randbytes(8 * MIB))
        file.write((b"drystone %d " % seed) * (4 * MIB // 16))
        file.truncate(16 * MIB)


def test_a_backup_lives_in_azure(azure: AzureServer, tmp_path: Path) -> None:
    cli = Cli(azure.environ())
    dest = f"az://{azure.make_container()}/hosts/a/"
    image, back = tmp_path / "image", tmp_path / "back"
    write_image(image, 1)
    first = cli.run("create", image, "--dest", dest, "--no-encryption").strip()
    assert first.startswith(f"{dest}?backup=")
    before = image.read_bytes()
    with image.open("r+b") as file:
        file.seek(5 * MIB)
        file.write(os.urandom(MIB))
    second = cli.document("create", image, "--dest", dest)
    assert second["stored"] < 4 * MIB, "only what changed was stored"
    assert [each["url"] for each in cli.document("list", dest)] == [first, second["url"]]
    for url, bytes_ in ((first, before), (second["url"], image.read_bytes())):
        cli.run("verify", url)
        cli.run("restore", url, back, "--overwrite")
        assert back.read_bytes() == bytes_
    cli.run("prune", dest, "--keep-last", "1")
    assert [each["url"] for each in cli.document("list", dest)] == [second["url"]]
    cli.run("restore", second["url"], back, "--overwrite")
    assert back.read_bytes() == image.read_bytes()
    assert "there is no backup" in cli.run("restore", first, tmp_path / "none", code=3)


def test_a_network_that_fails_costs_no_backup(azure: AzureServer, tmp_path: Path) -> None:
    image, back = tmp_path / "image", tmp_path / "back"
    write_image(image, 2)

    def plan(number: int, _line: str) -> Fault | None:
        return CutAnswer(0) if number % 5 == 3 else None

    with FaultyProxy(azure.port) as proxy:
        proxy.plan(plan)
        cli = Cli(azure.environ(port=proxy.port))
        dest = f"az://{azure.make_container()}"
        url = cli.run("create", image, "--dest", dest, "--no-encryption").strip()
        cli.run("restore", url, back)
        cli.run("delete", url)
        assert len(proxy.lines) > 20
    assert back.read_bytes() == image.read_bytes()


def test_what_is_missing_is_said_in_one_line(azure: AzureServer) -> None:
    cli = Cli(azure.environ())
    container = azure.make_container()
    assert "there is no repository of backups" in cli.run("list", f"az://{container}/x", code=3)
    assert "there is no such container" in cli.run("list", "az://no-such-container/x", code=2)
    wrong = Cli(azure.environ(key="Z3Vlc3NlZA=="))
    assert "does not accept the credentials" in wrong.run("list", f"az://{container}/x", code=6)
    unnamed = Cli({}).run("list", f"az://{container}/x", code=6)
    assert unnamed.startswith(f"drystone: az://{container}: no credentials were found")
    assert "AZURE_STORAGE_CONNECTION_STRING" in unnamed
