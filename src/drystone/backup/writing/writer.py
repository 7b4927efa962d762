"""Filling packs and putting them while the next ones are filled."""

from __future__ import annotations

import contextlib
import queue
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Barrier
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from drystone.backup.format.keys import pack_id, pack_key
from drystone.backup.format.pack import Kind, PackBuilder, Place, Record
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault, put_own
from drystone.base.errors import DrystoneError, ExistsError
from drystone.kernel.blockdev import aligned_buffer
from drystone.store.abc import Data, Parts, PartStore

_PUTS = 2
"""Threads that put: packs take turns. And what waits for them or is with them: packs, or pieces of packs."""

_Buffer = NDArray[np.uint8]


class PackWriter:
    """The packs of one backup: one is filled for each kind of record, two at most are being put.

    Where the store takes parts, a pack goes to it in pieces while it is filled, and is never in memory as a whole.
    Used by one thread, in a `with`: at its end no put is running. Records are durable after `flush`.
    """

    def __init__(self, vault: Vault, writer: bytes, tuning: Tuning) -> None:
        self._vault = vault
        self._writer = writer
        self._store = vault.store if isinstance(vault.store, PartStore) else None
        self._size = tuning.pack_size if self._store is None else tuning.pack
        self._piece = tuning.piece_size
        self._buffers: queue.SimpleQueue[_Buffer] = queue.SimpleQueue()
        self._filling: dict[Kind, tuple[PackBuilder, _Stream | None]] = {}
        self._streams: list[_Stream] = []
        self._putting: deque[Future[int]] = deque()
        self._turn = 0
        self._pools: list[ThreadPoolExecutor] = []
        self.packs: list[bytes] = []
        """Ids of all packs that were begun, put or not."""
        self.stored = 0
        """Bytes of the packs that are put."""

    def __enter__(self) -> Self:
        # Both threads start now, before there are packs: one whose start a Ctrl-C cuts short later would put its pack
        # all the same, and nobody would wait for it before the packs are removed.
        meeting = Barrier(_PUTS)
        self._pools = [ThreadPoolExecutor(1, thread_name_prefix="put") for _ in range(_PUTS)]
        try:
            wait([pool.submit(meeting.wait) for pool in self._pools])
        except BaseException:
            meeting.abort()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools:
            pool.shutdown()
        for stream in self._streams:
            stream.abandon()

    def add(self, record: Record) -> Place:
        """Where the record will be. Waits for a put when two are running. :raises: what a put raised before."""
        if record.kind not in self._filling:
            self._filling[record.kind] = self._begin()
        builder, _ = self._filling[record.kind]
        place = builder.add(record)
        if builder.full:
            self._put(*self._filling.pop(record.kind))
        return place

    def flush(self) -> None:
        """Everything that was added is durable when this returns. :raises: what a put raised."""
        while self._filling:
            self._put(*self._filling.popitem()[1])
        self._settle(0)

    def _begin(self) -> tuple[PackBuilder, _Stream | None]:
        pack = pack_id(self._writer, len(self.packs))
        self.packs.append(pack)
        if self._store is None:
            return PackBuilder(pack, self._size, self._vault.ring), None
        self._streams = [each for each in self._streams if not each.ended]
        stream = _Stream(self._store, pack, self._take_buffer, self._buffers.put, self._submit)
        self._streams.append(stream)
        return PackBuilder(pack, self._size, self._vault.ring, stream.append), stream

    def _put(self, builder: PackBuilder, stream: _Stream | None) -> None:
        if stream is None:
            # In turn, so that two are put at once: packs of chunks may all have even numbers.
            self._turn += 1
            self._submit(self._turn, lambda: _put_whole(self._vault, builder))
        else:
            builder.finish()
            stream.close()

    def _take_buffer(self) -> _Buffer:
        try:
            return self._buffers.get_nowait()
        except queue.Empty:
            return aligned_buffer(self._piece)

    def _submit(self, worker: int, work: Callable[[], int]) -> None:
        """Have a thread do something, after what it does already: a pack that goes in pieces needs always the same."""
        self._settle(_PUTS - 1)
        self._putting.append(self._pools[worker % _PUTS].submit(work))

    def _settle(self, left: int) -> None:
        while len(self._putting) > left:
            self.stored += self._putting.popleft().result()


class _Stream:
    """A pack on its way to the store. What it submits is done in order, by one thread.

    :param take: a buffer that is free. :param give: it is free again.
    """

    def __init__(
        self,
        store: PartStore,
        pack: bytes,
        take: Callable[[], _Buffer],
        give: Callable[[_Buffer], None],
        submit: Callable[[int, Callable[[], int]], None],
    ) -> None:
        self._store = store
        self._pack = pack
        self._take = take
        self._give = give
        self._submit = submit
        self._buffer: _Buffer | None = None
        self._used = 0
        self._parts: Parts | None = None
        self._sound = True
        self.ended = False
        """Whether the store has it, durably."""

    def append(self, data: Data) -> None:
        """The next bytes of the pack."""
        rest = memoryview(data)
        while rest:
            if self._buffer is None:
                self._buffer = self._take()
            count = min(len(rest), len(self._buffer) - self._used)
            self._buffer.data[self._used : self._used + count] = rest[:count]
            rest = rest[count:]
            self._used += count
            if self._used == len(self._buffer):
                self._send()

    def close(self) -> None:
        """There are no more bytes."""
        if self._used:
            self._send()
        self._submit(self._pack[-1], self._finish)

    def abandon(self) -> None:
        """Leave nothing of it in the store, unless it is whole there. Called when nothing runs any more."""
        if self._parts is not None and not self.ended:
            with contextlib.suppress(DrystoneError):  # `clean` takes what is left
                self._parts.abandon()

    def _send(self) -> None:
        buffer, used = self._buffer, self._used
        assert buffer is not None
        self._buffer, self._used = None, 0
        self._submit(self._pack[-1], lambda: self._write(buffer, used))

    def _write(self, buffer: _Buffer, used: int) -> int:
        if not self._sound:
            raise DrystoneError(f"pack {self._pack.hex()} could not be put")
        self._sound = False
        if self._parts is None:
            self._parts = self._store.begin(pack_key(self._pack))
        self._parts.write(buffer[:used].data)
        self._give(buffer)
        self._sound = True
        return used

    def _finish(self) -> int:
        if not self._sound:
            raise DrystoneError(f"pack {self._pack.hex()} could not be put")
        assert self._parts is not None, "a pack has a header"
        if not self._parts.finish():
            raise ExistsError(f"{pack_key(self._pack)} is there already")
        self.ended = True
        return 0


def _put_whole(vault: Vault, builder: PackBuilder) -> int:
    """Close a pack and put it; its bytes."""
    data = builder.finish()
    put_own(vault.store, pack_key(builder.pack), data)
    return len(data)
