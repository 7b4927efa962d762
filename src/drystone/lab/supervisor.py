"""The process behind a lab: it boots the guests, is their network, and carries frames between clients and agents.

One thread, one loop over descriptors. It ends, and every guest with it, when it is asked to, when the process that owns
the lab has gone (its standard input closes), or at a signal. What it leaves behind then: nothing.

A client connects to the unix socket `control` in the lab's folder and sends one request; see `_REQUESTS`. The answer is
`{"ok": ...}` or `{"error": {...}}`. After `run` the connection carries that command's frames (drystone.lab.guest.agent)
until its end; a client that goes away ends its command.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drystone.base.errors import (
    BusyError,
    DamagedError,
    DrystoneError,
    NotFoundError,
    TimedOutError,
    UnavailableError,
)
from drystone.lab.folders import remove_disks_folder, remove_lab_folder
from drystone.lab.frames import FrameLine, Header
from drystone.lab.machine import find_kernel
from drystone.lab.node import Node, inherit_orphans, last_words
from drystone.lab.spec import DEFAULT_NAME, LabSpec, parse_spec
from drystone.lab.switch import Switch

_SYNC_SECONDS = 5.0
"""How long guests may take to write their folders back before the lab ends."""


class Client:
    """One connection to the control socket: waiting for nodes, or bound to a run, or neither."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.line = FrameLine(connection.fileno())
        self.waits_for: list[Node] = []
        self.node: Node | None = None
        self.number = 0


class Supervisor:
    """The loop. The constructor has no effects; `serve` returns when everything has ended."""

    def __init__(self, lab: LabSpec, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._nodes: dict[str, Node] = {}
        self._switch = Switch()
        self._clients: dict[int, Client] = {}
        self._runs: dict[int, Client] = {}
        self._next_number = 1
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        self._unsynced: set[str] = set()
        self._sync_deadline = 0.0
        self._leaving: list[Client] = []

    def serve(self, ready: Callable[[], None]) -> None:
        """Boot every node, call `ready` once clients can connect, and serve until the end of the lab.

        :raises DrystoneError: this machine lacks something. :raises OSError: the folder or a process could not be made.
        """
        kernel = find_kernel()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(self._folder / "control"))
            listener.listen(64)
            listener.setblocking(False)
            self._watch(listener.fileno(), lambda _: self._accept(listener))
            self._watch_end()
            for spec in self._lab.nodes:
                self._nodes[spec.name] = Node(kernel, self._lab, spec, self._folder / spec.name)
            for node in self._nodes.values():
                self._boot(node)
            ready()
            while not self._stopping:
                self._turn()
        finally:
            self._end(listener)

    # The loop

    def _turn(self) -> None:
        for key, events in self._selector.select(self._until_deadline()):
            if key.fd in self._selector.get_map():  # an earlier one of this turn may have closed it
                key.data(events)
        now = time.monotonic()
        for node in self._nodes.values():
            if node.state == "booting" and now - node.began > self._lab.boot_timeout:
                self._lose(
                    node, TimedOutError(f"guest {node.spec.name} was not up within {self._lab.boot_timeout:g} s")
                )
        if self._leaving and (not self._unsynced or now > self._sync_deadline):
            self._stopping = True

    def _until_deadline(self) -> float | None:
        moments = [n.began + self._lab.boot_timeout for n in self._nodes.values() if n.state == "booting"]
        if self._leaving:
            moments.append(self._sync_deadline if self._unsynced else 0.0)
        return max(0.0, min(moments) - time.monotonic()) if moments else None

    def _watch(self, handle: int, call: Callable[[int], None], events: int = selectors.EVENT_READ) -> None:
        self._selector.register(handle, events, call)

    def _unwatch(self, handle: int) -> None:
        if handle in self._selector.get_map():
            self._selector.unregister(handle)

    def _send(self, line: FrameLine, header: Header, payload: bytes = b"") -> None:
        """Queue a frame; a side that is gone is noticed when it is read from."""
        with contextlib.suppress(OSError):
            line.send(header, payload)
        self._adjust(line)

    def _adjust(self, line: FrameLine) -> None:
        key = self._selector.get_map().get(line.descriptor)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.wants_write else 0)
        if key is not None and key.events != events:
            self._selector.modify(line.descriptor, events, key.data)

    def _watch_end(self) -> None:
        read, write = os.pipe()
        os.set_blocking(write, False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(write)
        self._watch(read, lambda _: self._stop())
        if self._lab.owned:
            self._watch(sys.stdin.fileno(), lambda _: self._stop())

    def _stop(self) -> None:
        self._stopping = True

    def _end(self, listener: socket.socket) -> None:
        for node in self._nodes.values():
            if node.pid:
                self._close_node(node, "the lab has ended")
        listener.close()
        if self._lab.disks_folder:
            remove_disks_folder(Path(self._lab.disks_folder))
        remove_lab_folder(self._folder)
        for client in self._leaving:
            client.connection.setblocking(True)
            self._send(client.line, {"ok": True})

    # Guests

    def _boot(self, node: Node) -> None:
        node.boot()
        assert node.line is not None
        assert node.wire is not None
        self._watch(node.line.descriptor, lambda events: self._serve_node(node, events))
        self._watch(node.console, lambda _: self._serve_console(node))
        self._watch(node.pidfd, lambda _: self._lose(node))
        self._watch(node.wire.fileno(), lambda _: self._serve_wire(node))
        self._switch.connect(node.spec.port, node.wire)

    def _serve_console(self, node: Node) -> None:
        if not node.read_console():
            self._unwatch(node.console)

    def _serve_wire(self, node: Node) -> None:
        if not self._switch.forward(node.spec.port):
            assert node.wire is not None
            self._unwatch(node.wire.fileno())

    def _serve_node(self, node: Node, events: int) -> None:
        line = node.line
        assert line is not None
        try:
            if events & selectors.EVENT_WRITE:
                line.flush()
                self._adjust(line)
            frames = line.receive() if events & selectors.EVENT_READ else []
        except OSError:
            frames = None
        except DamagedError as error:
            self._lose(node, error)
            return
        if frames is None:
            self._unwatch(line.descriptor)  # the end of its process says the rest
            return
        for header, payload in frames:
            self._serve_event(node, header, payload)

    def _serve_event(self, node: Node, header: Header, payload: bytes) -> None:
        event = header["event"]
        if event == "took":
            assert node.line is not None
            with contextlib.suppress(OSError):  # its end is noticed when it is read from
                node.line.allow(header["bytes"])
            self._adjust(node.line)
        elif event == "up":
            node.state = "up"
            node.boot_seconds = time.monotonic() - node.began
            self._tell_waiting()
        elif event == "synced":
            self._unsynced.discard(node.spec.name)
        elif client := self._runs.get(header["id"]):
            self._send(client.line, header, payload)
            if event in {"exit", "refused"}:
                del self._runs[header["id"]]
                client.node = None

    def _close_node(self, node: Node, reason: str) -> None:
        """End the guest, and tell those whose commands ran in it."""
        assert node.line is not None
        assert node.wire is not None
        for handle in (node.line.descriptor, node.console, node.pidfd, node.wire.fileno()):
            self._unwatch(handle)
        self._switch.disconnect(node.spec.port)
        node.reap(reason)
        self._unsynced.discard(node.spec.name)
        error = UnavailableError(f"guest {node.spec.name} went away: {node.reason}")
        lost = error.to_document() if reason else _with_console(error, node)
        for number, client in list(self._runs.items()):
            if client.node is node:
                del self._runs[number]
                client.node = None
                self._send(client.line, {"error": lost})

    def _lose(self, node: Node, error: DrystoneError | None = None) -> None:
        """The guest has ended by itself, or hangs."""
        self._close_node(node, error.message if error else "")
        node.fail(_with_console(error or UnavailableError(node.reason), node))
        self._tell_waiting()

    # Clients

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            connection, _ = listener.accept()
            connection.setblocking(False)
            client = Client(connection)
            self._clients[connection.fileno()] = client
            self._watch(connection.fileno(), lambda events: self._serve_client(client, events))

    def _serve_client(self, client: Client, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                client.line.flush()
                self._adjust(client.line)
            frames = client.line.receive() if events & selectors.EVENT_READ else []
        except (OSError, DamagedError):
            frames = None
        if frames is None:
            self._drop(client)
            return
        for header, payload in frames:
            if client.node is not None:
                self._pass_on(client, header, payload)
            elif client.number == 0:  # else: late frames of a run that has ended
                self._answer(client, header)

    def _drop(self, client: Client) -> None:
        self._unwatch(client.connection.fileno())
        del self._clients[client.connection.fileno()]
        client.connection.close()
        if client in self._leaving:
            self._leaving.remove(client)
        if client.node is not None:
            line = client.node.line
            if line is not None:
                for rest in (
                    {"do": "signal", "number": int(signal.SIGKILL)},
                    {"do": "eof"},
                    {"do": "ack", "bytes": 1 << 40},
                ):
                    self._send(line, {**rest, "id": client.number})
            del self._runs[client.number]

    def _pass_on(self, client: Client, header: Header, payload: bytes) -> None:
        assert client.node is not None
        if client.node.line is not None:
            self._send(client.node.line, {**header, "id": client.number}, payload)

    def _answer(self, client: Client, header: Header) -> None:
        try:
            handler = _REQUESTS.get(header.get("do", ""))
            if handler is None:
                raise NotFoundError(f"a lab knows no request {header.get('do')!r}")
            result = handler(self, client, header)
        except DrystoneError as error:
            self._send(client.line, {"error": error.to_document()})
            return
        except OSError as error:
            self._send(client.line, {"error": {"code": "failed", "message": str(error)}})
            return
        if result is not None:
            self._send(client.line, {"ok": result})

    def _advise(self, action: str, node: Node) -> str:
        """The command line that does `action` to the node."""
        name = "" if self._lab.name == DEFAULT_NAME else f"--name {self._lab.name} "
        return f"drystone lab {action} {name}{node.spec.name}"

    def _find(self, header: Header) -> Node:
        return self._find_node(header["node"])

    def _find_node(self, name: str) -> Node:
        node = self._nodes.get(name)
        if node is None:
            raise NotFoundError(f"the lab has no node {name!r}", hint=f"it has {', '.join(self._nodes)}")
        return node

    def _tell_waiting(self) -> None:
        for client in list(self._clients.values()):
            if not client.waits_for:
                continue
            fallen = next((each for each in client.waits_for if each.state in {"down", "failed"}), None)
            if fallen is not None:
                gone = UnavailableError(f"guest {fallen.spec.name} is down: {fallen.reason}")
                self._send(client.line, {"error": fallen.failure or gone.to_document()})
            elif all(each.state == "up" for each in client.waits_for):
                self._send(client.line, {"ok": True})
            else:
                continue
            client.waits_for = []

    # Requests

    def _status(self, _client: Client, _header: Header) -> Any:
        nodes = [
            {**each.describe(), "link": self._switch.describe_cut(each.spec.port)} for each in self._nodes.values()
        ]
        return {"lab": self._lab.name, "supervisor": os.getpid(), "nodes": nodes}

    def _wait(self, client: Client, header: Header) -> None:
        client.waits_for = (
            [self._find_node(name) for name in header["nodes"]] if header.get("nodes") else [*self._nodes.values()]
        )
        self._tell_waiting()

    def _kill(self, _client: Client, header: Header) -> bool:
        node = self._find(header)
        if node.pid:
            self._close_node(node, "its power was cut")
            self._tell_waiting()
        return True

    def _start(self, _client: Client, header: Header) -> bool:
        node = self._find(header)
        if node.pid:
            raise BusyError(f"guest {node.spec.name} is running", hint=self._advise("kill", node))
        self._boot(node)
        return True

    def _cut(self, _client: Client, header: Header) -> bool:
        way = header.get("way", "both")
        self._switch.cut(self._find(header).spec.port, sending=way != "receiving", receiving=way != "sending")
        return True

    def _heal(self, _client: Client, header: Header) -> bool:
        self._switch.heal(self._find(header).spec.port)
        return True

    def _hold(self, _client: Client, header: Header) -> bool:
        node = self._find(header)
        if not node.pid:
            raise UnavailableError(f"guest {node.spec.name} is {node.state}")
        node.hold(still=header["do"] == "pause")
        return True

    def _console(self, _client: Client, header: Header) -> list[str]:
        return self._find(header).console_lines()

    def _run(self, client: Client, header: Header) -> None:
        node = self._find(header)
        if node.state != "up" or node.line is None:
            down = node.state in {"down", "failed"}
            raise UnavailableError(
                f"guest {node.spec.name} is {node.state}", hint=self._advise("start", node) if down else ""
            )
        client.node, client.number = node, self._next_number
        self._next_number += 1
        self._runs[client.number] = client
        self._pass_on(client, header, b"")

    def _down(self, client: Client, _header: Header) -> None:
        self._leaving.append(client)
        self._sync_deadline = time.monotonic() + _SYNC_SECONDS
        for node in self._nodes.values():
            if node.state == "up" and node.line is not None and self._lab.folders:
                self._unsynced.add(node.spec.name)
                self._send(node.line, {"do": "sync", "id": 0})


_REQUESTS: dict[str, Callable[[Supervisor, Client, Header], Any]] = {
    "status": Supervisor._status,  # noqa: SLF001 - the class's own table
    "wait": Supervisor._wait,  # noqa: SLF001
    "kill": Supervisor._kill,  # noqa: SLF001
    "start": Supervisor._start,  # noqa: SLF001
    "cut": Supervisor._cut,  # noqa: SLF001
    "heal": Supervisor._heal,  # noqa: SLF001
    "pause": Supervisor._hold,  # noqa: SLF001
    "resume": Supervisor._hold,  # noqa: SLF001
    "console": Supervisor._console,  # noqa: SLF001
    "run": Supervisor._run,  # noqa: SLF001
    "down": Supervisor._down,  # noqa: SLF001
}


def _with_console(error: DrystoneError, node: Node) -> dict[str, object]:
    """The error's document, with the node's name and what its console said last."""
    name, lines = node.spec.name, node.console_lines()
    last = last_words(lines)[-5:]
    document = error.to_document()
    if name not in error.message:
        document["message"] = f"guest {name}: {error.message}"
    document.setdefault("hint", f"the console's last lines: {' | '.join(last)}" if last else "its console is empty")
    document["console"] = lines[-40:]
    return document


def main(folder: str) -> None:
    """Supervise the lab described by `lab.json` in `folder`; one line of JSON on stdout says how it began."""
    place = Path(folder)
    lab = parse_spec(json.loads((place / "lab.json").read_text()))

    def say(document: dict[str, object]) -> None:
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 1)
        os.close(nothing)

    inherit_orphans()
    try:
        Supervisor(lab, place).serve(lambda: say({"ok": True}))
    except DrystoneError as error:
        say({"error": error.to_document()})
    except OSError as error:
        say({"error": {"code": "failed", "message": f"the lab could not be started: {error}"}})
