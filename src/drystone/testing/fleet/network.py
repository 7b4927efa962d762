"""A network on loopback between the servers of a fleet: each is called through a relay, which can be cut.

with Network() as network:
    relay = network.relay("storage_1", port)          # others call it at relay.url
    network.cut("storage_2", "storage_1", "hold")     # what storage_2 sends there waits, as packets do that are lost
    network.heal("storage_2", "storage_1")

A relay knows who calls by the process that holds the other end of the connection, so one address serves all callers.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

Result = TypeVar("Result")
Cut = Literal["hold", "reset"]
"""What is sent waits until the cut is healed; or connections break, and new ones too."""

_CHUNK = 256 << 10
_SECONDS = 60.0
_TURNS = 5
"""Of the loop: a connection that just came gets so far in them that it closes itself when it is cancelled."""
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def find_socket(port: int, far_port: int) -> int:
    """The inode of the TCP socket (IPv4) on this machine that joins its own `port` to `far_port`; 0: none."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        words = line.split()
        own, far = (int(word.partition(":")[2], 16) for word in words[1:3])
        if (own, far) == (port, far_port) and words[9] != "0":
            return int(words[9])
    return 0


def holds_socket(pid: int, inode: int) -> bool:
    """Whether a process has that socket open; one that has ended has none."""
    wanted = f"socket:[{inode}]"
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    if os.readlink(entry.path) == wanted:  # noqa: PTH115  # many of them
                        return True
    except OSError:
        return False
    return False


class Relay:
    """One server's address on the network.

    :ivar name: of the server. :ivar target: the port that it listens on itself. :ivar port: where others call it.
    """

    def __init__(self, name: str, target: int) -> None:
        self.name = name
        self.target = target
        self.port = 0

    @property
    def url(self) -> str:
        """Where others call it."""
        return f"http://127.0.0.1:{self.port}"


class Network:
    """All relays, carried by one thread between `__enter__` and `__exit__`.

    :param find_pid: the process of a server now, 0 for none.
    """

    def __init__(self, find_pid: Callable[[str], int]) -> None:
        self._find_pid = find_pid
        self._names: list[str] = []
        self._cuts: dict[tuple[str, str], Cut] = {}
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._servers: list[asyncio.Server] = []
        self._carried: dict[asyncio.Task[None], tuple[str, str]] = {}
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_SECONDS)
        self._loop.close()

    def relay(self, name: str, target: int) -> Relay:
        """A new address of the server `name`, which listens on port `target` itself."""
        made = Relay(name, target)
        self._names.append(name)
        self._do(self._listen(made))
        return made

    def know(self, name: str) -> None:
        """Tell of a caller that has no address itself."""
        self._names.append(name)

    def cut(self, caller: str, called: str, how: Cut) -> None:
        """Cut what `caller` sends to `called`, and what comes back on those connections."""
        self._do(self._change((caller, called), how))

    def heal(self, caller: str, called: str) -> None:
        """End a cut; what was held goes on its way."""
        self._do(self._change((caller, called), None))

    # ------------------------------------------------------------------ in the thread of the network

    def _do(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    async def _listen(self, relay: Relay) -> None:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._carry(relay, reader, writer)

        server = await asyncio.start_server(carry, "127.0.0.1", 0, limit=_CHUNK)
        relay.port = server.sockets[0].getsockname()[1]
        self._servers.append(server)

    async def _close(self) -> None:
        for server in self._servers:
            for each in server.sockets:
                self._loop.remove_reader(each.fileno())
        await _turn()  # those that just came are served, which a closed server would leave open
        for server in self._servers:
            server.close()
        while rest := asyncio.all_tasks() - {asyncio.current_task()}:  # connections that are being made, too
            for task in rest:
                task.cancel()
            await asyncio.wait(rest)
            await _turn()

    async def _change(self, pair: tuple[str, str], how: Cut | None) -> None:
        if how is None:
            self._cuts.pop(pair, None)
        else:
            self._cuts[pair] = how
        self._changed.set()
        self._changed = asyncio.Event()
        for task, each in tuple(self._carried.items()):
            if self._cuts.get(each) == "reset":
                task.cancel()

    async def _carry(self, relay: Relay, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio starts one for each connection"
        pair = (self._find_caller(writer.get_extra_info("peername")[1], relay.port), relay.name)
        self._carried[task] = pair
        try:
            if self._cuts.get(pair) != "reset":
                await self._join(relay, pair, reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # broken by either side, or cut
        finally:
            del self._carried[task]
            writer.transport.abort()

    def _find_caller(self, port: int, far_port: int) -> str:
        inode = find_socket(port, far_port)
        for name in self._names:
            pid = self._find_pid(name)
            if pid and inode and holds_socket(pid, inode):
                return name
        return ""

    async def _join(
        self, relay: Relay, pair: tuple[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        far_reader, far_writer = await _connect(relay.target)
        for each in (writer, far_writer):
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pumps = [
            asyncio.create_task(self._pump(pair, reader, far_writer)),
            asyncio.create_task(self._pump(pair, far_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            far_writer.transport.abort()
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)

    async def _pump(self, pair: tuple[str, str], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Hand on what comes until the sender ends; then what was handed on is given time to be taken."""
        while data := await reader.read(_CHUNK):
            while self._cuts.get(pair) == "hold":
                await self._changed.wait()
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
            await asyncio.sleep(0.05)


async def _turn() -> None:
    """Let what was called, accepted, aborted take effect."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def _connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection; none is left open when whoever waits for it is cancelled."""
    task = asyncio.create_task(asyncio.open_connection("127.0.0.1", port, limit=_CHUNK))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_drop)
        raise


def _drop(task: asyncio.Task[tuple[asyncio.StreamReader, asyncio.StreamWriter]]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result()[1].transport.abort()
