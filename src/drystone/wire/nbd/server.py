"""A server of one export that is only read: a thread a connection takes requests, a few threads answer them.

Replies go out as they are ready, in any order: each has its request's cookie. What a connection may have under way is
bounded, so a client that asks much and reads nothing stops itself.
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

WORKERS = 4
"""Threads that answer."""

_UNDER_WAY = 16
"""Requests of a connection that are being answered."""

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
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="nbd")
        self._lock = threading.Lock()
        self._closed = False
        self._streams: dict[Stream, threading.Thread] = {}
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
            if self._closed:
                stream.close()
                return
            self._streams[stream] = thread
            thread.start()

    def close(self) -> None:
        """End everything; what is being answered is waited for."""
        with self._lock:
            self._closed = True
            streams = dict(self._streams)
        for listener, thread in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            listener.close()
        for stream, thread in streams.items():
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
            thread.join()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return  # it was shut down
            self.serve(stream, negotiate=True)

    def _serve(self, stream: Stream, negotiate: bool, ended: Callable[[], None]) -> None:
        connection = _Connection(stream)
        try:
            # A client that breaks off or speaks another protocol has no other answer than the end.
            with contextlib.suppress(OSError, ProtocolError):
                if not negotiate or _negotiate(connection, self._export):
                    self._answer(connection)
        finally:
            with self._lock:
                self._streams.pop(stream, None)
            stream.close()
            ended()

    def _answer(self, connection: _Connection) -> None:
        room = threading.Semaphore(_UNDER_WAY)
        try:
            while True:
                head = connection.receive(protocol.REQUEST.size)
                if head is None:
                    return
                request = protocol.parse_request(head)
                if request.command == Command.DISCONNECT:
                    return
                if not connection.skip(request.payload):
                    return
                room.acquire()
                try:
                    work = self._pool.submit(self._execute, connection, request)
                except RuntimeError:
                    room.release()
                    return  # closed meanwhile
                work.add_done_callback(lambda _work: room.release())
        finally:
            for _ in range(_UNDER_WAY):
                room.acquire()

    def _execute(self, connection: _Connection, request: Request) -> None:
        error = protocol.refusal(request, self._export.size)
        data: bytes | memoryview = b""
        if not error and request.command == Command.READ:
            try:
                data = self._read(request.offset, request.length)
            except DrystoneError as failure:
                error = protocol.EIO
                self._failed(failure)
            except Exception as defect:  # noqa: BLE001  # a supervisor: a client without an answer waits for ever
                error = protocol.EIO
                self._failed(InternalError(f"{type(defect).__name__}: {defect}"))
        with contextlib.suppress(OSError):  # the reader of requests sees the end, too
            connection.reply(protocol.simple_reply(request.cookie, error), data)


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
