"""The client's side of a lab's control socket: requests, their answers, and errors that keep their class."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from pathlib import Path
from typing import Any

from drystone.base.errors import DrystoneError, KernelError, TimedOutError, UnavailableError, error_classes
from drystone.lab.frames import Frame, FrameReader, Header, encode_frame


def error_from(document: Header) -> DrystoneError:
    """The error of which `document` is the JSON object, in its class."""
    facts = {key: value for key, value in document.items() if key not in {"code", "message", "hint"}}
    message, hint = str(document["message"]), str(document.get("hint", ""))
    kinds = {kind.code: kind for kind in error_classes() if not issubclass(kind, KernelError)}
    return kinds.get(str(document["code"]), DrystoneError)(message, hint=hint, **facts)


class Connection:
    """One connection to a supervisor. The constructor takes a connected socket; use `connect`.

    `send` may be called by several threads as far as frames go that fit the socket's buffer; the frames of one run are
    sent under that run's lock.
    """

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._reader = FrameReader()
        self._frames: list[Frame] = []
        self._receiving = threading.Lock()

    def send(self, header: Header, payload: bytes = b"") -> None:
        """Send one frame.

        :raises UnavailableError: the lab has ended.
        """
        try:
            self._link.sendall(encode_frame(header, payload))
        except OSError as error:
            raise UnavailableError("the lab has ended") from error

    def receive(self, deadline: float | None = None) -> Frame:
        """The next frame. `deadline` is in seconds of time.monotonic.

        :raises TimedOutError: none came by then. :raises UnavailableError: the lab has ended.
        """
        with self._receiving:
            while not self._frames:
                try:
                    data = self._receive_some(deadline)
                except OSError as error:
                    raise UnavailableError("the lab has ended") from error
                if not data:
                    raise UnavailableError("the lab has ended")
                self._frames = self._reader.feed(data)
            return self._frames.pop(0)

    def _receive_some(self, deadline: float | None) -> bytes:
        if self._link.fileno() < 0:
            return b""
        if deadline is not None:
            poll = select.poll()
            poll.register(self._link, select.POLLIN)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimedOutError("the lab did not answer in time")
        return self._link.recv(64 << 10)

    def close(self) -> None:
        """Close it; a command that runs on it is ended. A thread that receives is woken up."""
        with contextlib.suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)
        with self._receiving:
            self._link.close()


class Control:
    """A lab's control socket, by its path. The constructor has no effects."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def connect(self) -> Connection:
        """A connection.

        :raises UnavailableError: no supervisor listens there.
        """
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.connect(str(self.path))
        except OSError as error:
            link.close()
            name = self.path.parent.name
            raise UnavailableError(f"the lab {name!r} is not up", hint=f"drystone lab up --name {name}") from error
        return Connection(link)

    def ask(self, action: str, *, timeout: float | None = 30.0, **arguments: object) -> Any:
        """One request, and its answer's value. `timeout` is in seconds.

        :raises DrystoneError: what the supervisor says, in its class.
        """
        connection = self.connect()
        try:
            connection.send({"do": action, **arguments})
            header, _ = connection.receive(None if timeout is None else time.monotonic() + timeout)
        finally:
            connection.close()
        if "error" in header:
            raise error_from(header["error"])
        return header["ok"]
