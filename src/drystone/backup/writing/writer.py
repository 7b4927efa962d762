"""Filling packs and putting them while the next ones are filled."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Barrier
from types import TracebackType
from typing import Self

from drystone.backup.format.keys import pack_id, pack_key
from drystone.backup.format.pack import Kind, PackBuilder, Place, Record
from drystone.backup.vault import Vault, put_own

_PUTS = 2
"""Packs being put at once."""


class PackWriter:
    """The packs of one backup: one is filled for each kind of record, two at most are being put.

    Used by one thread, in a `with`: at its end no put is running. Records are durable after `flush`.
    """

    def __init__(self, vault: Vault, writer: bytes, pack_size: int) -> None:
        self._vault = vault
        self._writer = writer
        self._size = pack_size
        self._filling: dict[Kind, PackBuilder] = {}
        self._putting: deque[Future[int]] = deque()
        self._pool: ThreadPoolExecutor | None = None
        self.packs: list[bytes] = []
        """Ids of all packs that were begun, put or not."""
        self.stored = 0
        """Bytes of the packs that are put."""

    def __enter__(self) -> Self:
        # Both threads start now, before there are packs: one whose start a Ctrl-C cuts short later would put its pack
        # all the same, and nobody would wait for it before the packs are removed.
        meeting = Barrier(_PUTS)
        self._pool = ThreadPoolExecutor(_PUTS, thread_name_prefix="put")
        try:
            wait([self._pool.submit(meeting.wait) for _ in range(_PUTS)])
        except BaseException:
            meeting.abort()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._pool is not None
        wait(self._putting)
        self._pool.shutdown()

    def add(self, record: Record) -> Place:
        """Where the record will be. Waits for a put when two are running. :raises: what a put raised before."""
        builder = self._filling.get(record.kind)
        if builder is None:
            pack = pack_id(self._writer, len(self.packs))
            self.packs.append(pack)
            builder = self._filling[record.kind] = PackBuilder(pack, self._size, self._vault.ring)
        place = builder.add(record)
        if builder.full:
            del self._filling[record.kind]
            self._put(builder)
        return place

    def flush(self) -> None:
        """Everything that was added is durable when this returns. :raises: what a put raised."""
        while self._filling:
            self._put(self._filling.popitem()[1])
        self._settle(0)

    def _put(self, builder: PackBuilder) -> None:
        assert self._pool is not None
        self._settle(_PUTS - 1)
        self._putting.append(self._pool.submit(_finish, self._vault, builder))

    def _settle(self, left: int) -> None:
        while len(self._putting) > left:
            self.stored += self._putting.popleft().result()


def _finish(vault: Vault, builder: PackBuilder) -> int:
    """Close a pack and put it; its bytes."""
    data = builder.finish()
    put_own(vault.store, pack_key(builder.pack), data)
    return len(data)
