"""What tests call inside guests. Functions of the tests' own modules would do, but those load pytest: seconds there."""

from __future__ import annotations

import mmap
import os
import socket
import time
from pathlib import Path

BLOCK = 4096
PORT = 7000
_LISTENER: list[socket.socket] = []


def listen() -> None:
    """From now on whoever connects is welcome."""
    _LISTENER.append(socket.create_server(("0.0.0.0", PORT)))


def connects(address: str, seconds: float) -> bool:
    """Try again and again, as a connection's own patience grows long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address, PORT), timeout=0.5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    return False


def write_block(disk: str, number: int, letter: str, flush: bool) -> None:
    """Past the page cache, so that only the disk's own cache is in question."""
    handle = os.open(disk, os.O_WRONLY | os.O_DIRECT)
    buffer = mmap.mmap(-1, BLOCK)
    buffer.write(letter.encode() * BLOCK)
    os.pwrite(handle, buffer, number * BLOCK)
    if flush:
        os.fsync(handle)
    os.close(handle)


def read_letters(disk: str, count: int) -> str:
    """The first letter of each block, - for zero."""
    with Path(disk).open("rb") as file:
        return "".join(chr(file.read(BLOCK)[0] or ord("-")) for _ in range(count))


def write_file(path: str, text: str, sync: bool) -> None:
    with Path(path).open("w") as file:
        file.write(text)
        file.flush()
        if sync:
            os.fsync(file.fileno())
