"""A whole simulated fleet: three storage servers, two mappers, clients, and what breaks them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from drystone.base.errors import DrystoneError
from drystone.fleet.documents import Allocation, Bucket
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.model import BucketChange
from drystone.fleet.mapping.rules import Rules
from drystone.testing.fleet.world.database import MemoryDatabase
from drystone.testing.fleet.world.history import History, Operation
from drystone.testing.fleet.world.leader import Found
from drystone.testing.fleet.world.mappers import MapperHost
from drystone.testing.fleet.world.node import Node
from drystone.testing.fleet.world.surroundings import Peer, Taker
from drystone.testing.fleet.world.time import Action, Call, Host, Network, Timeline

_SERVERS = ("s1", "s2", "s3")
_RULES = Rules(lease=3.0, dead=3.0, replace=8.0, leftover=15.0, pause=2.0, servers=frozenset(_SERVERS))
HOSTS = ("one", "two")
KEYS = ("a", "b", "c")
_CLIENTS_END = 160.0
_DEADLINE = 6.0


class World:
    """One run. :param mutants: rules that are broken in it, by name."""

    def __init__(self, seed: int, mutants: frozenset[str] = frozenset()) -> None:
        self.seed = seed
        self.mutants = mutants
        self.random = Random(seed)  # noqa: S311  # a schedule, not a secret
        self.timeline = Timeline()
        self.network = Network(self.timeline, self.random)
        self.rules = _RULES
        self.history = History()
        self.database = MemoryDatabase(self.timeline.monotonic)
        self._ids = 0
        self._values = 0
        self._last_mapper: dict[str, int] = {}
        self.client = Host("client", self.timeline)
        self.mappers = [MapperHost(f"m{number}", self) for number in (1, 2)]
        self.nodes = [Node(name, self, 2) for name in _SERVERS]

    def make_id(self) -> str:
        """An id for a placement."""
        self._ids += 1
        return f"p{self._ids}"

    def node(self, name: str) -> Node:
        """The storage server of that name."""
        return next(each for each in self.nodes if each.name == name)

    # Messages

    def call(
        self,
        caller: Host,
        target: Host,
        action: Callable[[], object],
        done: Callable[[object], None],
        failed: Callable[[], None],
        seconds: float,
    ) -> None:
        """Have `action` done in another process, and its answer brought back."""
        call = Call(caller, done, failed, seconds)

        def arrive() -> None:
            answer = action()
            self.network.send(target, caller, lambda: call.answer(answer))

        self.network.send(caller, target, arrive)

    def ask(
        self, caller: Peer, server: str, action: Callable[[Peer], object], done: Taker, failed: Action, seconds: float
    ) -> None:
        """Ask another storage server."""
        target = self.node(server)
        self.call(caller.host, target, lambda: action(target), done, failed, seconds)

    def ask_mapper(self, caller: Peer, method: str, document: object, done: Taker, failed: Action) -> None:
        """Ask the mapper that answered last, then the others."""
        self._ask_mapper(caller, self._last_mapper.get(caller.name, 0), method, document, done, failed, 3)

    def _ask_mapper(
        self, caller: Peer, index: int, method: str, document: object, done: Taker, failed: Action, tries: int
    ) -> None:
        mapper = self.mappers[index % len(self.mappers)]

        def go_on(which: int) -> None:
            if tries > 1:
                self._ask_mapper(caller, which, method, document, done, failed, tries - 1)
            else:
                failed()

        def take(answer: object) -> None:
            if isinstance(answer, tuple):
                named = [number for number, each in enumerate(self.mappers) if each.name == answer[0]]
                go_on(named[0] if named else index + 1)
            elif answer is None:
                failed()
            else:
                self._last_mapper[caller.name] = index
                done(answer)

        self.call(caller.host, mapper, lambda: mapper.take(method, document), take, lambda: go_on(index + 1), 1.5)

    # Clients

    def _allocate(self) -> None:
        """Have every host placed, as soon as that can be."""
        missing = False
        for mapper in self.mappers:
            if not mapper.up or not mapper.mapper.leads():
                continue
            try:
                if "ns" not in mapper.mapper.model.buckets:
                    bucket = Bucket("ns", "shared", "", 0.0)
                    mapper.mapper.check_leads()
                    mapper.mapper.commit([BucketChange(bucket, "for the run")])
                for host in HOSTS:
                    mapper.mapper.allocate(Allocation("ns", host))
                return
            except (DrystoneError, NotLeadingError):
                missing = True
        if missing or self.timeline.time < 200:
            self.timeline.after(1.0, self._allocate)

    def _act(self) -> None:
        """A client does something, again and again."""
        if self.timeline.time < _CLIENTS_END:
            self.timeline.after(self.random.expovariate(12.0), self._act)
        kind = self.random.choices(("put", "get", "delete"), (4, 5, 1))[0]
        self.do(kind, self.random.choice(HOSTS), self.random.choice(KEYS))

    def do(self, kind: str, host: str, key: str, done: Callable[[Found], None] = lambda _: None) -> None:
        """One operation, sent to a server that believes it leads, if there is one, else to any."""
        leading = [
            each
            for each in self.nodes
            if any(replica.placement.host == host and replica.leads() for replica in each.replicas.values())
        ]
        target = self.random.choice(leading or self.nodes)
        if kind == "put":
            self._values += 1
        value = f"v{self._values}" if kind == "put" else ""
        operation = self.history.begin(kind, (host, key), self.timeline.time, value)
        call = Call(self.client, lambda answer: self._ended(operation, answer, done), lambda: None, _DEADLINE)

        def reply(answer: object) -> None:
            self.network.send(target, self.client, lambda: call.answer(answer))

        self.network.send(self.client, target, lambda: self._serve(target, operation, reply))

    def _serve(self, node: Node, operation: Operation, reply: Callable[[object], None]) -> None:
        host, key = operation.key
        for id_, replica in node.replicas.items():
            if replica.placement.host == host and replica.leads():
                if operation.kind == "get":
                    node.leader.read(id_, key, reply)
                else:
                    node.leader.write(id_, key, operation.value, operation, reply)
                return

    def _ended(self, operation: Operation, answer: object, done: Callable[[Found], None]) -> None:
        if not isinstance(answer, Found):
            return
        operation.ended = self.timeline.time
        operation.seq = answer.seq
        if operation.kind == "get":
            operation.value = answer.value
        done(answer)

    def begin(self) -> None:
        """Clients come: hosts are placed, and read and written for a while."""
        self.timeline.after(1.0, self._allocate)
        self.timeline.after(2.0, self._act)
