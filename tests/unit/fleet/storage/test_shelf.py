"""Disks that hang or fail do not keep a server from ending."""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from drystone.base.errors import KernelError, TimedOutError, UnavailableError
from drystone.fleet.storage import shelf as shelves
from drystone.fleet.storage.shelf import Bay, Shelf


def test_a_disk_that_hangs_does_not_keep_the_others_from_being_closed(tmp_path: Path) -> None:
    async def run() -> None:
        for name in ("data_1", "data_2"):
            (tmp_path / name).mkdir()
        shelf = Shelf(tmp_path, tmp_path / "state")
        shelf.find_folders()
        assert await shelf.open("fleet")
        first, second = shelf.bays.values()
        hung, good = first.disk, second.disk
        assert hung is not None
        assert good is not None
        first.hangs = True
        await shelf.close()
        assert good.report().health == "missing", "it is closed"
        hung.close()

    asyncio.run(run())


def test_a_step_gives_what_it_returns_and_raises_what_it_raises(tmp_path: Path) -> None:
    async def run() -> None:
        bay = Bay(tmp_path)
        assert await bay.run(lambda *args, **more: (args, more), 1, b=2) == ((1,), {"b": 2})
        with pytest.raises(ZeroDivisionError):
            await bay.run(divmod, 1, 0)
        with pytest.raises(UnavailableError, match="mkdir"):
            await bay.run(_fail, KernelError("mkdir", errno.EACCES))
        assert bay.suspect.is_set()
        await bay.close()

    asyncio.run(run())


def _fail(error: Exception) -> None:
    raise error


@pytest.fixture
def gate() -> threading.Event:
    return threading.Event()


async def _leave(bay: Bay, step: Callable[[], object]) -> None:
    """Somebody begins a step, and is cancelled while it goes on."""
    task = asyncio.create_task(bay.run(step))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_a_step_goes_on_when_nobody_waits_for_it_and_how_it_failed_is_logged(
    tmp_path: Path, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[int] = []

    def step(error: Exception | None) -> None:
        assert gate.wait(120)
        done.append(1)
        if error is not None:
            raise error

    async def run() -> None:
        bay = Bay(tmp_path)
        await _leave(bay, lambda: step(None))
        await _leave(bay, lambda: step(UnavailableError("the disk is bad")))
        gate.set()
        async with asyncio.timeout(120):
            while "the disk is bad" not in caplog.text:  # noqa: ASYNC110  # nothing tells
                await asyncio.sleep(0.01)
        assert done == [1, 1]
        await bay.close()

    with caplog.at_level(logging.INFO):
        asyncio.run(run())


def test_a_step_that_takes_too_long_is_waited_for_no_longer(
    tmp_path: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelves, "_SECONDS", 0.05)

    async def run() -> None:
        bay = Bay(tmp_path)
        with pytest.raises(TimedOutError, match="did not answer"):
            await bay.run(gate.wait, 120)
        gate.set()
        assert await bay.run(gate.is_set), "it answers again"
        await bay.close()

    asyncio.run(run())
