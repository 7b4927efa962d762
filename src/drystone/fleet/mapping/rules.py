"""How long a mapper waits for what. All in seconds, unless said otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from drystone.fleet.documents import Policy


@dataclass(frozen=True, slots=True)
class Rules:
    """What a mapper is set to.

    :ivar lease: a lease lasts so long. :ivar dead: a server without a heartbeat for so long is dead. :ivar replace: the
        copies of a dead server are made anew elsewhere after so long; those of a bad disk at once. :ivar copies: of
        each placement. :ivar leftover: what is left over is deleted after so long; :ivar forgotten: what is left of a
        host that was forgotten. :ivar pause: a member that did not answer its leader is not taken again for so long.
    :ivar servers: that may belong to the fleet; empty: all that have the secret. :ivar policy: of new buckets (S3's).
    :ivar drill: from a restore drill of a host to its next, 0 for never. :ivar drill_objects: that it reads at most.
    """

    lease: float = 6.0
    dead: float = 6.0
    replace: float = 30.0
    copies: int = 2
    leftover: float = 3600.0
    forgotten: float = 604_800.0
    pause: float = 5.0
    servers: frozenset[str] = frozenset()
    policy: Policy = "shared"
    drill: float = 86_400.0
    drill_objects: int = 10
