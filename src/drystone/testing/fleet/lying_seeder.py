"""A relay before a seeder of torrents on loopback, which passes on what it likes: for downloaders that must not mind.

async with LyingSeeder(address, flip=True) as liar:
    ... have a download ask at liar.address
    assert liar.flipped

It follows the peers' protocol (BEP 3): a handshake of 68 bytes, then messages with their length before them.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self

_HANDSHAKE = 68
_PIECE = 7
"""The kind of a message that bears a block."""


class LyingSeeder:
    """The relay. Listens on entry, ends with the block.

    :param address: HOST:PORT of the seeder. :param flip: whether a bit of every block is flipped. :param after: blocks
        that are passed on before it goes away for good; None for all. :param wait: blocks are passed on once it is set.
    :ivar address: HOST:PORT of the relay. :ivar flipped: set when a block with a flipped bit was sent.
    :ivar gone: set when it went away.
    """

    def __init__(
        self, address: str, *, flip: bool = False, after: int | None = None, wait: asyncio.Event | None = None
    ) -> None:
        host, _, port = address.rpartition(":")
        self._seeder = host, int(port)
        self._flip = flip
        self._left = after
        self._wait = wait
        self.flipped = asyncio.Event()
        self.gone = asyncio.Event()
        self.address = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if self.gone.is_set():
                writer.close()
                return
            from_seeder, to_seeder = await asyncio.open_connection(*self._seeder)
            asked = asyncio.create_task(_copy(reader, to_seeder))
            try:
                await self._pass_on(from_seeder, writer)
            finally:
                asked.cancel()
                to_seeder.close()
                writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(_HANDSHAKE))
        while not self.gone.is_set():
            length = await reader.readexactly(4)
            message = bytearray(await reader.readexactly(int.from_bytes(length)))
            if message[:1] == bytes([_PIECE]):
                await self._change(message)
            writer.write(length + message)
            await writer.drain()

    async def _change(self, message: bytearray) -> None:
        """What becomes of a block."""
        if self._wait is not None:
            await self._wait.wait()
        if self._left is not None:
            self._left -= 1
            if self._left <= 0:
                self.gone.set()
        if self._flip:
            message[-1] ^= 1
            self.flipped.set()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
