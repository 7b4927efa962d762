"""What the processes of a simulated fleet see of it and of each other."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Protocol

from drystone.fleet.documents import Placement
from drystone.fleet.mapping.rules import Rules
from drystone.fleet.replica import Replica
from drystone.testing.fleet.world.database import MemoryDatabase
from drystone.testing.fleet.world.history import History
from drystone.testing.fleet.world.shelf import Entry, Shelf
from drystone.testing.fleet.world.time import Action, Host, Network, Timeline

Taker = Callable[[object], None]


class Following(Protocol):
    """A storage server, as its leaders call it."""

    def promise(self, placement: Placement, leader: str) -> bool: ...

    def apply(self, placement: Placement, leader: str, key: str, seq: int, value: str, floor: int) -> object: ...

    def has(self, placement: Placement, key: str, found: Entry) -> bool | None: ...


class Leading(Protocol):
    """A storage server, as those that copy from it call it."""

    def page(self, id_: str, epoch: int) -> object: ...

    def completed(self, id_: str, epoch: int, server: str) -> None: ...


class Peer(Protocol):
    """A storage server."""

    @property
    def name(self) -> str: ...
    @property
    def timeline(self) -> Timeline: ...
    @property
    def world(self) -> Surroundings: ...
    @property
    def replicas(self) -> dict[str, Replica]: ...
    @property
    def leader(self) -> Leading: ...
    @property
    def follower(self) -> Following: ...
    @property
    def host(self) -> Host: ...

    def later(self, seconds: float, action: Action) -> None: ...

    def shelf(self, placement: Placement) -> Shelf | None: ...

    def learn(self, placement: Placement) -> None: ...

    def count_in(self, placement: str, servers: tuple[str, ...]) -> None: ...


class Surroundings(Protocol):
    """The fleet around a process."""

    @property
    def timeline(self) -> Timeline: ...
    @property
    def random(self) -> Random: ...
    @property
    def mutants(self) -> frozenset[str]: ...
    @property
    def network(self) -> Network: ...
    @property
    def history(self) -> History: ...
    @property
    def database(self) -> MemoryDatabase: ...
    @property
    def rules(self) -> Rules: ...

    def make_id(self) -> str: ...

    def ask(
        self, caller: Peer, server: str, action: Callable[[Peer], object], done: Taker, failed: Action, seconds: float
    ) -> None:
        """Ask another storage server."""

    def ask_mapper(self, caller: Peer, method: str, document: object, done: Taker, failed: Action) -> None:
        """Ask the mapper that answered last, then the others."""
