"""Servers that a command starts: what is told when one does not start."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError, NotFoundError, UnavailableError
from drystone.cli.processes import read_ready, running, wait_for_first


def start(log: Path, *words: str) -> dict[str, str]:
    async def act() -> dict[str, str]:
        async with running(words, log) as process:
            return await read_ready(process, "one", log)

    return asyncio.run(act())


def test_what_a_server_said_as_it_failed_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="one: there is no configuration /nonexistent"):
        start(tmp_path / "log", "fleet", "mapper", "--config", "/nonexistent", "--json")


def test_one_that_says_nothing_of_use_is_told_of_with_its_log(tmp_path: Path) -> None:
    for words in (("fleet", "mapper", "--config", "/nonexistent"), ("--version",)):
        log = tmp_path / "log"
        with pytest.raises(DrystoneError) as found:
            start(log, *words)
        assert "one" in found.value.message


def test_one_that_ends_by_itself_is_told_of(tmp_path: Path) -> None:
    async def act() -> None:
        ended = asyncio.create_task(asyncio.Event().wait())
        async with running(("--version",), tmp_path / "log") as process:
            try:
                await wait_for_first(ended, [process])  # type: ignore[arg-type]  # it is not asked what it gave
            finally:
                ended.cancel()

    with pytest.raises(UnavailableError, match="a server ended with 0"):
        asyncio.run(act())
