"""What the options of every command of backups stand for."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from drystone.cli.backup.opening import Access, access_options
from drystone.cli.exits import run
from drystone.store.limited import LimitedStore


def read_options(*words: str) -> tuple[int, list[Access]]:
    """The exit code, and what a command was handed."""
    found: list[Access] = []

    @click.command()
    @access_options
    def command(access: Access) -> None:
        found.append(access)

    return run(command, words), found


def test_a_rate_is_that_of_all_stores_together(tmp_path: Path) -> None:
    _, (access,) = read_options("--limit-rate", "10m")
    first, second = (access.store(f"vfs://{tmp_path}/{name}") for name in ("one", "other"))
    assert isinstance(first, LimitedStore)
    assert isinstance(second, LimitedStore)
    assert first._bucket is second._bucket
    _, (free,) = read_options()
    assert not isinstance(free.store(f"vfs://{tmp_path}/one"), LimitedStore)


@pytest.mark.parametrize("words", [("--limit-rate", "0"), ("--limit-rate", "fast"), ("--memory", "much")])
def test_wrong_ones_are_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, found = read_options(*words)
    assert (code, found) == (2, [])
    assert capsys.readouterr().err
