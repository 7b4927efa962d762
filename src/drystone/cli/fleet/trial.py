"""The processes of `drystone fleet up`: started, waited for, ended."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from drystone.base.errors import DrystoneError, TimedOutError
from drystone.base.files import replace_file
from drystone.cli.processes import START_SECONDS, read_ready, running, wait_for_first
from drystone.fleet.calls import Calls, Mappers
from drystone.fleet.documents import Key
from drystone.fleet.mapping.status import Status
from drystone.wire.tcp import wait_for_signal

_POLL_SECONDS = 0.1


class Trial(msgspec.Struct, frozen=True):
    """What is printed when all is ready: URLs, and a key that may do everything."""

    mapper: str
    storage: tuple[str, ...]
    s3: str
    access_key: str
    secret_key: str


async def run_trial(
    root: Path, servers: int, disks: int, tell: Callable[[Trial], None], *, show_log: bool = False
) -> None:
    """Run them until SIGTERM or SIGINT, or until one of them ends by itself; none is left then.

    :param tell: called once all are ready. :raises UnavailableError: one did not start, or ended.
    """
    secret, key = _prepare(root)
    ended = asyncio.create_task(wait_for_signal())
    try:
        async with contextlib.AsyncExitStack() as stack:

            async def start(name: str, *words: str) -> tuple[str, asyncio.subprocess.Process]:
                log = root / f"{name}.log"
                common = ("--listen", "127.0.0.1:0", "--secret", str(root / "fleet.secret"), "--json")
                process = await stack.enter_async_context(
                    running(("fleet", *words, *common), None if show_log else log)
                )
                return (await read_ready(process, name, log))["url"], process

            names = [f"storage_{number}" for number in range(1, servers + 1)]
            members = [word for each in names for word in ("--server", each)]
            database = f"sqlite:///{root / 'mapper' / 'map.db'}"
            mapper, process = await start("mapper", "mapper", "--database", database, *members)
            started = await asyncio.gather(*(start(each, *_storage_words(root, each, disks, mapper)) for each in names))
            calls = await stack.enter_async_context(Calls(secret))
            await _wait_until_ready(Mappers(calls, (mapper,)), key, servers, disks)
            storage = tuple(url for url, _ in started)
            tell(Trial(mapper, storage, storage[0], key.access_key, key.secret))
            await wait_for_first(ended, [process, *(each for _, each in started)])
    finally:
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)


def _prepare(root: Path) -> tuple[str, Key]:
    """The fleet's secret and a key, which are kept in `root`."""
    root.mkdir(parents=True, exist_ok=True)
    access_key = _keep(root / "access_key", lambda: f"DRY{secrets.token_hex(8).upper()}")
    secret_key = _keep(root / "secret_key", lambda: secrets.token_urlsafe(30))
    return _keep(root / "fleet.secret", lambda: secrets.token_hex(32)), Key(access_key, secret_key, {"*": "admin"})


def _keep(path: Path, make: Callable[[], str]) -> str:
    """The text of a file, made when there is none. Durable when it returns."""
    if not path.exists():
        replace_file(path, make().encode() + b"\n", mode=0o600)
    return path.read_text().strip()


def _storage_words(root: Path, name: str, disks: int, mapper: str) -> tuple[str, ...]:
    """The command of one storage server, whose folders are made."""
    for number in range(1, disks + 1):
        (root / name / f"data_{number}").mkdir(parents=True, exist_ok=True)
    folder = str(root / name)
    return ("storage", "--id", name, "--mapper", mapper, "--root", folder, "--state", f"{folder}/state")


async def _wait_until_ready(mappers: Mappers, key: Key, servers: int, disks: int) -> None:
    """Make the key, and wait until every server has its disks and knows the key.

    :raises TimedOutError: they do not get there.
    """
    reason = ""
    made = False
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    if not made:
                        await mappers.ask("/internal/keys", key, Key)
                        made = True
                    answer = await mappers.call("GET", "/internal/status")
                    reason = _find_missing(answer.document(Status), servers, disks)
                    if not reason:
                        return
                except DrystoneError as error:
                    reason = error.message
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError as error:
        raise TimedOutError(f"the fleet is not ready: {reason}") from error


def _find_missing(status: Status, servers: int, disks: int) -> str:
    """What keeps the fleet from being ready, "" when nothing does."""
    alive = [each for each in status.servers if each.alive and each.map_version == status.version]
    good = [each for each in status.disks if each.state == "good"]
    if len(alive) < servers:
        return f"{len(alive)} of {servers} servers have the map"
    return f"{len(good)} of {servers * disks} disks are good" if len(good) < servers * disks else ""
