"""`dlvm` run in this process, against an API over a database of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from drystone.cli.cluster.dlvm import dlvm
from drystone.cli.exits import supervise
from drystone.testing.cluster.client import open_client
from drystone.testing.cluster.command_line import CommandLine


def act(words: Sequence[str], servers: object) -> int:
    def invoke() -> int:
        with dlvm.make_context("dlvm", list(words), obj=servers) as context:
            dlvm.invoke(context)
        return 0

    return supervise(invoke, words)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `empty`, a database with its tables, and `fast`: see the fixture of that name."""
    folder = tmp_path_factory.mktemp("databases")
    with open_client(f"sqlite:///{folder}/fast"):
        pass
    shutil.copy(folder / "fast", folder / "empty")
    with open_client(f"sqlite:///{folder}/fast") as client:
        client.make_group("d1", "d2", "d3")
        client.make_ihost("h1")
        client.make_dlv()
    return folder


@pytest.fixture
def begin(
    tmp_path: Path, template: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], CommandLine]]:
    for name in ("API", "AUTHORITY"):
        monkeypatch.delenv(f"DRYSTONE_CLUSTER_{name}", raising=False)
    monkeypatch.setenv("DRYSTONE_CLUSTER_TOKEN", str(tmp_path / "token"))
    with ExitStack() as stack:

        def copy(name: str) -> CommandLine:
            shutil.copy(template / name, tmp_path / "cluster.db")
            client = stack.enter_context(open_client(f"sqlite:///{tmp_path}/cluster.db"))
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
