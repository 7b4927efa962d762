"""Who asked for a change: the process at the other end of the socket, as the kernel tells of it (SO_PEERCRED).

The catalogue writes it down in the very transaction that begins the change, and what became of it in the one that ends
it; so an entry is there before the first effect, and no answer comes before it is durable.

The process is that of the connection: of a request that comes through Docker it is dockerd.
"""

from __future__ import annotations

from contextvars import ContextVar

import msgspec


class Actor(msgspec.Struct, frozen=True):
    """A process. :ivar program: its file, or its name where that cannot be read; "" when it has ended."""

    pid: int
    uid: int
    program: str


DAEMON = Actor(0, 0, "the daemon")
"""Who ends at a start what was cut short, or does what no request asks for."""

acting: ContextVar[Actor] = ContextVar("acting", default=DAEMON)
"""On whose behalf this thread or task works."""


class Entry(msgspec.Struct, frozen=True):
    """An entry of the trail.

    :ivar at: ISO 8601 with offset. :ivar action: as in the journal, or forget, umount, hold, release, pool-extend, and
        fsck-KIND for a difference that was mended.
    :ivar subject: a name; :ivar uuid: its UUID, "" for a pool and of fsck. :ivar outcome: begun, done or undone.
    """

    at: str
    action: str
    subject: str
    uuid: str
    pid: int
    uid: int
    program: str
    outcome: str
