"""A whole simulated fleet: three storage servers, two mappers, clients, and what breaks them."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from drystone.base.errors import DrystoneError
from drystone.fleet.documents import Allocation, Bucket, Report
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.model import BucketChange
from drystone.fleet.mapping.rules import Rules
from drystone.testing.fleet.world.database import MemoryDatabase
from drystone.testing.fleet.world.history import History, Operation
from drystone.testing.fleet.world.mappers import MapperHost
from drystone.testing.fleet.world.node import Node
from drystone.testing.fleet.world.shelf import Entry
from drystone.testing.fleet.world.surroundings import Peer, Taker
from drystone.testing.fleet.world.time import Action, Call, Host, Network, Timeline

_SERVERS = ("s1", "s2", "s3")
_RULES = Rules(lease=3.0, dead=3.0, replace=8.0, leftover=15.0, pause=2.0, servers=frozenset(_SERVERS))
HOSTS = ("one", "two")
DISKS = 2
"""Of each storage server."""
_NUMBERS_OF_KEYS = (3, 3, 12)
"""Of each host: one of these in each run. With few, changes of a key meet; with many, each stays for a while."""
_KINDS = ("put", "create", "get", "delete")
_MIXES = ((4, 5, 9, 10), (4, 5, 9, 10), (3, 4, 7, 10))
"""How often up to and with each of them: one of these in each run."""
_CLIENTS_END = 160.0
_DEADLINE = 6.0


class World:
    """One run.

    :param mutants: rules that are broken in it, by name.
    :ivar refused: operations that were answered with a refusal.
    """

    def __init__(self, seed: int, mutants: frozenset[str] = frozenset()) -> None:
        self.seed = seed
        self.mutants = mutants
        self.random = Random(seed)  # noqa: S311  # a schedule, not a secret
        self.keys = tuple(f"k{number}" for number in range(self.random.choice(_NUMBERS_OF_KEYS)))
        self._mix = self.random.choice(_MIXES)
        self.timeline = Timeline()
        self.network = Network(self.timeline, self.random)
        self.rules = _RULES
        self.history = History()
        self.refused = 0
        self.database = MemoryDatabase(self.timeline.monotonic)
        self._ids = 0
        self._values = 0
        self._last_mapper: dict[str, int] = {}
        self.client = Host("client", self.timeline)
        self.mappers = [MapperHost(f"m{number}", self) for number in (1, 2)]
        self.nodes = [Node(name, self, DISKS) for name in _SERVERS]
        self.drops_until = 0.0
        """When the last question to drop a member comes to a mapper."""
        self._by_name = {each.name: each for each in self.nodes}

    def make_id(self) -> str:
        """An id for a placement."""
        self._ids += 1
        return f"p{self._ids}"

    def node(self, name: str) -> Node:
        """The storage server of that name."""
        return self._by_name[name]

    # Messages

    def call(
        self,
        caller: Host,
        target: Host,
        action: Callable[[], object],
        done: Callable[[object], None],
        failed: Callable[[], None],
        seconds: float,
    ) -> float:
        """Have `action` done in another process, and its answer brought back; when it comes there, as Network.send."""
        call = Call(caller, done, failed, seconds)

        def arrive() -> None:
            answer = action()
            self.network.send(target, caller, lambda: call.answer(answer))

        return self.network.send(caller, target, arrive)

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

        comes = self.call(
            caller.host, mapper, lambda: mapper.take(method, document), take, lambda: go_on(index + 1), 1.5
        )
        if isinstance(document, Report) and document.drop:
            self.drops_until = max(self.drops_until, comes)

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
        kind = self.random.choices(_KINDS, cum_weights=self._mix)[0]
        self.do(kind, self.random.choice(HOSTS), self.random.choice(self.keys))

    def do(self, kind: str, host: str, key: str, done: Callable[[Entry], None] = lambda _: None) -> None:
        """One operation, sent to a server that believes it leads, if there is one, else to any."""
        leading = [each for each in self.nodes if self._find_led(each, host)]
        self.ask_node(self.random.choice(leading or self.nodes), kind, host, key, done)

    def ask_node(
        self, target: Node, kind: str, host: str, key: str, done: Callable[[Entry], None] = lambda _: None
    ) -> None:
        """One operation, sent to this server."""
        value = ""
        if kind in {"put", "create"}:
            self._values += 1
            value = f"v{self._values}"
        operation = self.history.begin(kind, (host, key), self.timeline.time, value)
        call = Call(self.client, lambda answer: self._ended(operation, answer, done), None, _DEADLINE)

        def reply(answer: object) -> None:
            self.network.send(target, self.client, lambda: call.answer(answer))

        self.network.send(self.client, target, lambda: self._serve(target, operation, reply))

    def _serve(self, node: Node, operation: Operation, reply: Callable[[object], None]) -> None:
        host, key = operation.key
        id_ = self._find_led(node, host)
        if id_ and operation.kind == "get":
            node.leader.read(id_, key, reply)
        elif id_:
            node.leader.write(id_, key, operation.value, operation, reply)

    @staticmethod
    def _find_led(node: Node, host: str) -> str:
        """The placement of a host that a server believes to lead, "" when there is none."""
        for id_, replica in node.replicas.items():
            if replica.placement.host == host and replica.leads():
                return id_
        return ""

    def _ended(self, operation: Operation, answer: object, done: Callable[[Entry], None]) -> None:
        if not isinstance(answer, Entry):
            self.refused += 1
            return
        operation.ended = self.timeline.time
        operation.seq = answer.seq
        if operation.kind == "get":
            operation.value = answer.value
        done(answer)

    def begin(self, *, clients: bool = True) -> None:
        """Hosts are placed, and read and written by clients for a while, if there are any."""
        self.timeline.after(1.0, self._allocate)
        if clients:
            self.timeline.after(2.0, self._act)
