"""Servers of ours that a command starts, each a process of its own: waited for, and ended with the command."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from drystone.base.documents import decode
from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError, UsageError
from drystone.cli.serving import ATTACHED
from drystone.wire.problems import from_problem

START_SECONDS = 120.0
_END_SECONDS = 15.0


@contextlib.asynccontextmanager
async def running(words: Sequence[str], log: Path | None) -> AsyncIterator[asyncio.subprocess.Process]:
    """A `drystone` command as a process, which is ended with the block. :param log: file for stderr; None: ours."""
    stderr = None if log is None else os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "drystone.cli.main",
            *words,
            stdin=asyncio.subprocess.PIPE,  # ends when we do, however that is
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, ATTACHED: "1"},
            start_new_session=True,  # Ctrl-C is for us; we end them in order
        )
    finally:
        if stderr is not None:
            os.close(stderr)
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process; by force when it does not end itself."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def read_ready(process: asyncio.subprocess.Process, name: str, log: Path) -> dict[str, str]:
    """The line that a server prints when it is ready, which is a JSON object.

    :raises DrystoneError: it ended; what it said, by its class, or UnavailableError. :raises TimedOutError: it says
        nothing.
    """
    assert process.stdout is not None, "a pipe"
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise TimedOutError(f"{name} does not start", hint=f"see {log}") from error
    if not line:
        code = await process.wait()
        ended = UnavailableError(f"{name} ended with {code} when it was started", hint=f"see {log}")
        raise _find_failure(name, log) or ended
    return decode(line, dict[str, str], f"{name}'s first line")


def _find_failure(name: str, log: Path) -> DrystoneError | None:
    """What a server said last, when that is an error as our commands print it with --json."""
    try:
        line = log.read_bytes().rstrip().rpartition(b"\n")[2]
        said = decode(line, dict[str, object])
    except (OSError, UsageError):
        return None
    return from_problem({**said, "detail": f"{name}: {said.get('message')}"}) if "message" in said else None


async def wait_for_first(ended: asyncio.Task[None], processes: Sequence[asyncio.subprocess.Process]) -> None:
    """Until `ended` is. :raises UnavailableError: a process ended by itself."""
    lives = [asyncio.create_task(each.wait()) for each in processes]
    try:
        done, _ = await asyncio.wait({ended, *lives}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in lives:
            each.cancel()
    if ended not in done:
        codes = ", ".join(str(each.returncode) for each in processes if each.returncode is not None)
        raise UnavailableError(f"a server ended with {codes}", hint="see the logs in the root")
