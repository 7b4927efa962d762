"""The processes of `drystone cluster up`: started, waited for, ended. What they made in the kernel stays."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from drystone.base.errors import ExistsError
from drystone.base.files import replace_file
from drystone.base.names import new_uuid
from drystone.cli.processes import START_SECONDS, read_ready, running, wait_for_first
from drystone.cluster.client.api import Api, Request
from drystone.cluster.client.waiting import Goal, wait
from drystone.cluster.connection import Connection
from drystone.cluster.token_file import read_token
from drystone.wire.tcp import wait_for_signal

DVG, IHOST, ADMIN = "trial", "this-host", "admin"
_FIRST_AGENT, _IHOST_AGENT, _FIRST_PORTAL = 9410, 9401, 13260
"""Ports of 127.0.0.1, always the same: the database has them."""


class Trial(msgspec.Struct, frozen=True):
    """What is printed when all is ready. :ivar api: a URL. :ivar token: file of an operator's."""

    api: str
    token: str
    dvg: str
    ihost: str


async def run_trial(
    root: Path, listen: str, dpvs: int, size: int, tell: Callable[[Trial], None], *, show_log: bool = False
) -> None:
    """Run them until SIGTERM or SIGINT, or until one of them ends by itself; none is left then.

    :param dpvs: that export legs, each over a file of `size` bytes in `root`, by a loop device.
    :param tell: called once all are ready. :raises UnavailableError: one did not start, or ended.
    :raises DrystoneError: this kernel lacks what they need.
    """
    _prepare(root)
    ended = asyncio.create_task(wait_for_signal())
    try:
        async with contextlib.AsyncExitStack() as stack:
            processes: list[asyncio.subprocess.Process] = []

            async def start(name: str, *words: str) -> dict[str, str]:
                log = root / f"{name}.log"
                process = await stack.enter_async_context(
                    running(("cluster", *words, "--json"), None if show_log else log)
                )
                processes.append(process)
                return await read_ready(process, name, log)

            disks = {f"dpv{number}": _open_disk(root / f"dpv{number}.disk", size, stack) for number in range(dpvs)}
            database = ("--database", f"sqlite:///{root}/cluster.db")
            told = await start("api", "api", "--listen", listen, "--tokens", f"{root}/tokens.toml", *database)
            await asyncio.gather(
                start("monitor", "monitor", *database),
                start(IHOST, *_ihost_words(root, told["url"])),
                *(start(name, *_dpv_words(root, name, at, disk)) for at, (name, disk) in enumerate(disks.items())),
            )
            token = root / f"{ADMIN}.token"
            api = Api([Connection("the API", told["url"], seconds=30)], read_token(token), patience=START_SECONDS)
            await asyncio.to_thread(_register, api, tuple(disks), size)
            tell(Trial(told["url"], str(token), DVG, IHOST))
            await wait_for_first(ended, processes)
    finally:
        ended.cancel()
        await asyncio.gather(ended, return_exceptions=True)


def _prepare(root: Path) -> None:
    """Tokens of an operator and of the ihost's agent, which are kept in `root`."""
    from drystone.cluster.callers import add_caller

    root.mkdir(parents=True, exist_ok=True)
    callers = root / "tokens.toml"
    for name, role in ((ADMIN, "operator"), (IHOST, "agent")):
        path = root / f"{name}.token"
        if not path.exists():
            made = add_caller(callers, name, "operator" if role == "operator" else "agent")
            replace_file(path, f"{made}\n".encode())


def _open_disk(file: Path, size: int, stack: contextlib.AsyncExitStack) -> str:
    """The loop device on a dpv's file, which is made and formatted when there is none.

    One that an earlier run left, as legs are on it, is used again.
    """
    from drystone.cluster.agents.service import format_disk
    from drystone.kernel import loop

    is_new = not file.exists()
    if is_new:
        with file.open("wb") as made:
            made.truncate(size)
    found = loop.find_by_file(str(file))
    if found:
        path = found[0].path
        stack.callback(os.close, os.open(path, os.O_RDONLY | os.O_CLOEXEC))  # else it goes with the last of its legs
    else:
        path = stack.enter_context(loop.hold(str(file))).path
    if is_new:
        try:
            format_disk(path)
        except BaseException:
            file.unlink()
            raise
    return path


def _dpv_words(root: Path, name: str, at: int, disk: str) -> tuple[str, ...]:
    """The command of a dpv's agent."""
    places = ("--listen", f"127.0.0.1:{_FIRST_AGENT + at}", "--portal", f"127.0.0.1:{_FIRST_PORTAL + at}")
    return ("dpv", "--plain", *places, "--disk", disk, "--folder", f"{root}/{name}")


def _ihost_words(root: Path, api: str) -> tuple[str, ...]:
    """The command of the ihost's agent."""
    own = ("--listen", f"127.0.0.1:{_IHOST_AGENT}", "--folder", f"{root}/{IHOST}", "--name", IHOST)
    return ("ihost", "--plain", *own, "--api", api, "--token", f"{root}/{IHOST}.token")


def _register(api: Api, dpvs: tuple[str, ...], size: int) -> None:
    """Have the API know them all, and wait until they are used. What it knows already stays.

    :raises NotFoundError: this host has no name in iSCSI.
    """
    from drystone.kernel.iscsi.initiator import OpenIscsi

    for at, name in enumerate(dpvs):
        places = {"address": f"127.0.0.1:{_FIRST_AGENT + at}", "portal": f"127.0.0.1:{_FIRST_PORTAL + at}"}
        _ask(api, "/dpvs", {"name": name, "size": _usable(size), **places})
    _ask(api, "/ihosts", {"name": IHOST, "address": f"127.0.0.1:{_IHOST_AGENT}", "initiator": OpenIscsi().name()})
    for goal in (*(Goal("dpv", name, "available") for name in dpvs), Goal("ihost", IHOST, "available")):
        wait(api, goal, lambda _: None, seconds=START_SECONDS)
    _ask(api, "/dvgs", {"name": DVG, "dpvs": dpvs})


def _ask(api: Api, path: str, body: object) -> None:
    with contextlib.suppress(ExistsError):
        api.ask(Request("POST", path, body=body, key=new_uuid()))


def _usable(size: int) -> int:
    """Bytes of a dpv's disk that legs can be on: a part is its table."""
    from drystone.cluster.model.extents import EXTENT

    return size - 8 * EXTENT
