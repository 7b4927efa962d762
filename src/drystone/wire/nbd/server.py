"""A server of one export that is only read: of each connection a thread takes requests, and a few answer them.

Replies go out as they are ready, in any order: each has its request's cookie. What a connection may have under way is
bounded, so a client that asks much and reads nothing stops itself, and nobody else: it has threads of its own. The
number of connections to a listening socket is bounded, too.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, Self

from drystone.base.errors import DrystoneError, InternalError
from drystone.wire.nbd import protocol
from drystone.wire.nbd.protocol import Command, Description, ProtocolError, Request

CONNECTIONS = 16
"""Connections that a listening server has at once; who comes then is sent away."""

WORKERS = 4
"""Threads of a connection that answer."""

_UNDER_WAY = 16
"""Requests of a connection that are being answered."""

_PAUSE_S = 0.1
"""Until connections are taken again when the process had no file descriptor or thread for one."""

_PIECE = 1 << 20
"""Bytes of a refused write that are taken off the line at once."""

Read = Callable[[int, int], bytes | memoryview]
"""(offset, length) in bytes -> the bytes. Called by several threads."""


class Stream(Protocol):
    """The part of a connected stream socket that the server uses."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Fill the beginning of `buffer`; 0 at the end."""

    def sendall(self, data: bytes | memoryview, /) -> None:
        """Send all of it."""

    def shutdown(self, how: int, /) -> None:
        """End both directions."""

    def close(self) -> None:
        """Give it up."""


class NbdServer:
    """Serves `read` as an export. `close` ends all connections and threads.

    :param failed: told what `read` raised, by a worker's thread; the client gets EIO.
    """

    def __init__(
        self, export: Description, read: Read, *, failed: Callable[[DrystoneError], None] = lambda _error: None
    ) -> None:
        self._export = export
        self._read = read
        self._failed = failed
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._streams: set[Stream] = set()
        self._threads: set[threading.Thread] = set()
        self._listeners: list[tuple[socket.socket, threading.Thread]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(self, listener: socket.socket) -> None:
        """Take connections from a bound and listening socket, which is the server's from now on."""
        thread = threading.Thread(target=self._accept, args=(listener,), name="nbd-listen", daemon=True)
        self._listeners.append((listener, thread))
        thread.start()

    def serve(self, stream: Stream, *, negotiate: bool, ended: Callable[[], None] = lambda: None) -> None:
        """Serve a connected stream, which is the server's from now on, in a thread; it ends with the other side.

        :param negotiate: begin with the negotiation; a kernel that was handed a socket begins with requests.
        :param ended: called by the thread when the connection has ended.
        """
        thread = threading.Thread(target=self._serve, args=(stream, negotiate, ended), name="nbd-serve", daemon=True)
        with self._lock:
            if self._closed.is_set():
                stream.close()
                return
            thread.start()
            self._streams.add(stream)
            # One that has left `_streams` may not have come to its end: it is kept here until it has.
            self._threads = {each for each in self._threads if each.is_alive()} | {thread}

    def close(self) -> None:
        """End everything; what is being read is waited for, and nothing more is."""
        with self._lock:
            self._closed.set()
            streams, threads = set(self._streams), set(self._threads)
        for listener, thread in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            listener.close()
        for stream in streams:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
        for thread in threads - {threading.current_thread()}:  # `ended` may close the server
            thread.join()

    def _accept(self, listener: socket.socket) -> None:
        while not self._closed.is_set():
            try:
                stream, _ = listener.accept()
            except OSError:  # it was shut down, or there is no room for a file descriptor
                self._closed.wait(_PAUSE_S)
                continue
            if len(self._streams) >= CONNECTIONS:
                stream.close()
                continue
            try:
                self.serve(stream, negotiate=True)
            except RuntimeError:  # no thread can be made
                stream.close()
                self._closed.wait(_PAUSE_S)

    def _serve(self, stream: Stream, negotiate: bool, ended: Callable[[], None]) -> None:
        connection = _Connection(stream)
        try:
            # A client that breaks off or speaks another protocol has no other answer than the end.
            with contextlib.suppress(OSError, ProtocolError):
                if not negotiate or _negotiate(connection, self._export):
                    self._answer(connection)
        finally:
            with self._lock:
                self._streams.discard(stream)
            stream.close()
            ended()

    def _answer(self, connection: _Connection) -> None:
        """Until the other side ends; what is being answered then is waited for."""
        room = threading.Semaphore(_UNDER_WAY)
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="nbd") as pool:
            while (head := connection.receive(protocol.REQUEST.size)) is not None:
                request = protocol.parse_request(head)
                if request.command == Command.DISCONNECT or not connection.skip(request.payload):
                    return
                room.acquire()
                pool.submit(self._execute, connection, request).add_done_callback(lambda _work: room.release())

    def _execute(self, connection: _Connection, request: Request) -> None:
        error = protocol.refusal(request, self._export.size)
        data: bytes | memoryview = b""
        try:
            if not error and request.command == Command.READ:
                error = protocol.EIO
                data, error = self._take(request)
        except DrystoneError as failure:
            self._failed(failure)
        except Exception as defect:  # noqa: BLE001  # a supervisor: a client without an answer waits for ever
            self._failed(InternalError(f"{type(defect).__name__}: {defect}"))
        finally:
            with contextlib.suppress(OSError):  # the reader of requests sees the end, too
                connection.reply(protocol.simple_reply(request.cookie, error), data)

    def _take(self, request: Request) -> tuple[bytes | memoryview, int]:
        """What is read, and no error; or no bytes, and an error."""
        if self._closed.is_set():  # each of those that wait might take as long as the store does
            return b"", protocol.ESHUTDOWN
        data = self._read(request.offset, request.length)
        if len(data) != request.length:  # the next reply would be taken for the rest of this one
            raise ValueError(f"{len(data)} bytes were read at {request.offset}, not {request.length}")
        return data, 0


class _Connection:
    """A stream of which whole pieces are taken, and to which whole replies are sent."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def receive(self, size: int) -> bytes | None:
        """Exactly `size` bytes; None when the other side ended before."""
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            count = self._stream.recv_into(view)
            if count == 0:
                return None
            view = view[count:]
        return bytes(buffer)

    def skip(self, size: int) -> bool:
        """Take `size` bytes off the line; False when the other side ended before."""
        while size:
            piece = min(size, _PIECE)
            if self.receive(piece) is None:
                return False
            size -= piece
        return True

    def reply(self, head: bytes, data: bytes | memoryview = b"") -> None:
        """Send a reply, nothing of another one within it."""
        with self._lock:
            self._stream.sendall(head)
            if len(data):
                self._stream.sendall(data)


def _negotiate(connection: _Connection, export: Description) -> bool:
    """Whether the client chose the export. :raises ProtocolError: it speaks another protocol."""
    connection.reply(protocol.hello())
    flags = connection.receive(protocol.CLIENT_FLAGS.size)
    if flags is None:
        return False
    no_zeroes = protocol.parse_client_flags(flags)
    while (head := connection.receive(protocol.OPTION.size)) is not None:
        option, length = protocol.parse_option(head)
        data = connection.receive(length)
        if data is None:
            return False
        answer = protocol.answer_option(option, data, export, no_zeroes=no_zeroes)
        connection.reply(answer.data)
        if answer.chosen or answer.ends:
            return answer.chosen
    return False
