"""What is remembered of a thin pool, and where a driver keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Pool:
    """What the catalogue knows of a thin pool: sizes in sectors of 512 bytes.

    :ivar uuid: part of the dm UUIDs of the pool's devices.
    :ivar transaction_id: the id that the pool's metadata has, or has once the change under way is through. After a
        crash the metadata may be one behind, never anything else.
    :ivar next_device: the lowest thin id that was never given out.
    """

    name: str
    uuid: str
    block_sectors: int
    data_sectors: int
    transaction_id: int
    next_device: int

    @property
    def data_blocks(self) -> int:
        """Blocks of the pool's data."""
        return self.data_sectors // self.block_sectors


class PoolRecords(Protocol):
    """Where pools are written down; the catalogue is one."""

    def get_pool(self, name: str) -> Pool | None:
        """None for a pool that was never written down."""

    def put_pool(self, pool: Pool) -> None:
        """Durable when it returns."""
