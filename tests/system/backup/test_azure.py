"""A whole life of backups at a real Azure server by the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.testing.azure import KEY, AzureServer, start_server, why_absent
from drystone.testing.backup_command import BackupCommand, check_backups_live, write_image
from drystone.testing.proxy import CutAnswer, Fault, FaultyProxy


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureServer]:
    if why := why_absent():
        pytest.skip(why)
    with start_server(tmp_path_factory.mktemp("azure")) as started:
        yield started


def command(variables: dict[str, str]) -> BackupCommand:
    return BackupCommand(variables, KEY, unset="AZURE")


def test_a_backup_lives_in_azure(azure: AzureServer, tmp_path: Path) -> None:
    dest = f"az://{azure.make_container()}/hosts/a/"
    check_backups_live(command(azure.environ()), dest, tmp_path, ("prune", "{dest}", "--keep-last", "1"))


def test_a_network_that_fails_costs_no_backup(azure: AzureServer, tmp_path: Path) -> None:
    image, back = tmp_path / "image", tmp_path / "back"
    write_image(image, 2, 16 << 20)

    def plan(number: int, _line: str) -> Fault | None:
        return CutAnswer(0) if number % 5 == 3 else None

    with FaultyProxy(azure.port) as proxy:
        proxy.plan(plan)
        cli = command(azure.environ(port=proxy.port))
        dest = f"az://{azure.make_container()}"
        url = cli.run("create", image, "--dest", dest, "--no-encryption").strip()
        cli.run("restore", url, back)
        cli.run("delete", url)
        assert len(proxy.lines) > 20
    assert back.read_bytes() == image.read_bytes()


def test_what_is_missing_is_said_in_one_line(azure: AzureServer) -> None:
    cli = command(azure.environ())
    container = azure.make_container()
    assert "there is no repository of backups" in cli.run("list", f"az://{container}/x", code=3)
    assert "there is no such container" in cli.run("list", "az://no-such-container/x", code=2)
    wrong = command(azure.environ(key="Z3Vlc3NlZA=="))
    assert "does not accept the credentials" in wrong.run("list", f"az://{container}/x", code=6)
    unnamed = command({}).run("list", f"az://{container}/x", code=6)
    assert unnamed.startswith(f"drystone: az://{container}: no credentials were found")
    assert "AZURE_STORAGE_CONNECTION_STRING" in unnamed
