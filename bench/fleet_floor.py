"""A bare server that does with a file what a checked read needs, and nothing else: no server that checks needs less.

    python bench/fleet_floor.py FOLDER

For each request: the file is opened and read into memory, compared with its BLAKE3, and sent by one call with a fixed
head; by a thread for each connection, which holds the interpreter's lock only in between. No signature is checked, no
key looked up, no header read but the path; files of a MiB and less. Prints its port.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen

from blake3 import blake3

from drystone.testing.fleet.mounts import dying

_MOST = 1 << 20


class Floor:
    """:param folder: of the files, which do not change. What each is to be is what it was when first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sums: dict[bytes, bytes] = {}

    def serve(self, connection: socket.socket) -> None:
        """Answer one request after another until the client goes."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer = bytearray(_MOST)
        with connection:
            while request := connection.recv(65536):
                while not request.endswith(b"\r\n\r\n"):
                    request += connection.recv(65536)
                self._answer(connection, request.split(b" ", 2)[1], buffer)

    def _answer(self, connection: socket.socket, path: bytes, buffer: bytearray) -> None:
        handle = os.open(os.fsencode(self._folder) + path, os.O_RDONLY)
        try:
            view = memoryview(buffer)[: os.preadv(handle, [buffer], 0)]
        finally:
            os.close(handle)
        found = blake3(view).digest()
        assert found == self._sums.setdefault(path, found), "another file"
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(view)
        sent = os.writev(connection.fileno(), [head, view])
        connection.sendall(view[sent - len(head) :])


@contextmanager
def serving_floor(folder: Path) -> Iterator[int]:
    """The server over a folder, as a process of its own; its port."""
    process = Popen(dying([sys.executable, __file__, str(folder)]), stdout=PIPE)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Serve until the process is ended."""
    floor = Floor(Path(sys.argv[1]))
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=floor.serve, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    main()
