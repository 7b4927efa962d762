"""`dlvm` run in this process, against one API whose database is new for each test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from drystone.cli.cluster.dlvm import dlvm
from drystone.cli.exits import supervise
from drystone.cluster.state.database import Database
from drystone.testing.cluster.client import Client, open_client
from drystone.testing.cluster.command_line import CommandLine


def act(words: Sequence[str], servers: object) -> int:
    def invoke() -> int:
        with dlvm.make_context("dlvm", list(words), obj=servers) as context:
            dlvm.invoke(context)
        return 0

    return supervise(invoke, words)


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    """A client, and a folder with `empty`, a database with its tables, and `fast`: see the fixture of that name."""
    folder = tmp_path_factory.mktemp("databases")
    with open_client(f"sqlite:///{folder}/fast") as client:
        database = client.desk.database
        database.close()
        shutil.copy(folder / "fast", folder / "empty")
        database.open()
        client.make_group("d1", "d2", "d3")
        client.make_ihost("h1")
        client.make_dlv()
        database.close()
        yield client, folder


@pytest.fixture
def begin(
    tmp_path: Path, api: tuple[Client, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], CommandLine]]:
    for name in ("API", "AUTHORITY"):
        monkeypatch.delenv(f"DRYSTONE_CLUSTER_{name}", raising=False)
    monkeypatch.setenv("DRYSTONE_CLUSTER_TOKEN", str(tmp_path / "token"))
    with ExitStack() as stack:

        def copy(name: str) -> CommandLine:
            client, folder = api
            shutil.copy(folder / name, tmp_path / "cluster.db")
            database = Database(f"sqlite:///{tmp_path}/cluster.db")
            database.open()
            stack.callback(database.close)
            client.desk.database = database
            return CommandLine(client, tmp_path, capsys, act)

        yield copy


@pytest.fixture
def cluster(begin: Callable[[str], CommandLine]) -> CommandLine:
    """With nothing in it."""
    return begin("empty")


@pytest.fixture
def fast(begin: Callable[[str], CommandLine]) -> CommandLine:
    """With a dvg `fast` of three dpvs, an ihost `h1` and a dlv `db` of 1 GiB."""
    return begin("fast")
