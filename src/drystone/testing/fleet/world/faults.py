"""What goes wrong in a simulated fleet, and when: drawn from the seed."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from drystone.base.errors import DrystoneError
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.orders import Orders
from drystone.fleet.orders import DiskMark, DiskOrder, LeadOrder
from drystone.testing.fleet.world.mappers import MapperHost
from drystone.testing.fleet.world.node import Node
from drystone.testing.fleet.world.world import DISKS, World

Fault = Callable[["Faults"], str]

_SEEN = 1.5
"""Seconds within which every server was heard of."""
_CALM = 4.0
"""Seconds for which nothing else breaks once a disk is lost: of two copies, two failures at once may cost both."""


class Faults:
    """Breaks things until `until`, then mends all. :ivar log: what was done, for people. :ivar tally: how often."""

    def __init__(self, world: World, until: float) -> None:
        self.world = world
        self.random = world.random
        self.until = until
        self.log: list[str] = []
        self.tally: Counter[str] = Counter()
        self.kept = world.database.snapshot()
        # A lost disk and a lost database together may cost data: nobody could know better. A run has one or the other.
        self.loses_database = self.random.random() < 0.4
        theme = self.random.choice(_THEMES)
        self._weights = [weight * (_EMPHASIS if name in theme else 1) for name, (weight, _) in _FAULTS.items()]
        self.intensity = self.random.choice((1.0, 2.0, 4.0))
        self.calm_until = 0.0
        self.broken_at = 0.0
        world.network.slow = self.random.choice((0.0, 0.02, 0.2))
        self._plan()

    def _plan(self) -> None:
        self.world.timeline.after(self.random.expovariate(1 / self.intensity), self._break)

    def _break(self) -> None:
        if self.world.timeline.time >= self.until:
            self.mend()
            return
        if self.world.timeline.time < self.calm_until:
            self._plan()
            return
        name = self.random.choices(list(_FAULTS), self._weights)[0]
        told = _FAULTS[name][1](self)
        if told:
            self.broken_at = self.world.timeline.time
            self.log.append(f"{self.world.timeline.time:8.3f} {name} {told}")
            self.tally[f"fault: {name}"] += 1
        self._plan()

    def later(self, action: Callable[[], None]) -> None:
        """Mend something after a while."""
        self.world.timeline.after(self.random.choice((0.5, 2.0, 5.0, 12.0)) * self.random.uniform(0.5, 1.5), action)

    def mend(self) -> None:
        """Everything works from now on."""
        world = self.world
        world.network.cuts.clear()
        world.network.loss = world.network.double = world.network.slow = 0.0
        world.database.down = False
        world.database.lie = lambda: False
        for disk in (each for node in world.nodes for each in node.disks):
            if not disk.healthy:
                disk.open()
        hosts: tuple[Node | MapperHost, ...] = (*world.nodes, *world.mappers)
        for host in hosts:
            host.hung_until = 0.0
            if not host.up:
                host.start()
        self.log.append(f"{world.timeline.time:8.3f} all is mended")


def _stop(faults: Faults, hosts: Sequence[Node | MapperHost]) -> str:
    host = faults.random.choice(hosts)
    if not host.up:
        return ""
    host.stop()
    faults.later(lambda: None if host.up else host.start())
    return host.name


def _hang(faults: Faults) -> str:
    host = faults.random.choice([*faults.world.nodes, *faults.world.mappers])
    seconds = faults.random.choice((0.5, 1.5, 2.5, 5.0, 9.0))
    host.hung_until = faults.world.timeline.time + seconds
    return f"{host.name} for {seconds} s"


def _cut(faults: Faults) -> str:
    world = faults.world
    one, other = faults.random.sample([each.name for each in [*world.nodes, *world.mappers, world.client]], 2)
    cuts = {(one, other)} if faults.random.random() < 0.4 else {(one, other), (other, one)}
    world.network.cuts |= cuts
    faults.later(lambda: world.network.cuts.difference_update(cuts))
    return f"{one} {'->' if len(cuts) == 1 else '<->'} {other}"


def _isolate(faults: Faults) -> str:
    world = faults.world
    names = [each.name for each in [*world.nodes, *world.mappers]]
    alone = faults.random.choice(names)
    cuts = {pair for each in names if each != alone for pair in ((alone, each), (each, alone))}
    world.network.cuts |= cuts
    faults.later(lambda: world.network.cuts.difference_update(cuts))
    return alone


def _cut_from(faults: Faults, name: str, others: list[str], seconds: float, *, deaf: bool = False) -> None:
    """Cut one off from others for a while, or only what it is told."""
    if faults.world.timeline.time < faults.calm_until:
        return
    cuts = {(each, name) for each in others}
    if not deaf:
        cuts |= {(name, each) for each in others}
    network = faults.world.network
    network.cuts |= cuts
    faults.world.timeline.after(seconds, lambda: network.cuts.difference_update(cuts))


def _fade(faults: Faults) -> str:
    """A server that hears no mapper's answer, then is heard by none either; clients and servers still reach it."""
    name = faults.random.choice(faults.world.nodes).name
    mappers = [each.name for each in faults.world.mappers]
    deaf = faults.random.uniform(0.5, 4.0)
    _cut_from(faults, name, mappers, deaf, deaf=True)
    faults.world.timeline.after(deaf, lambda: _cut_from(faults, name, mappers, faults.random.uniform(3, 9)))
    return f"{name}, deaf for {deaf:.1f} s"


def _seesaw(faults: Faults) -> str:
    """One server after another is cut off from all mappers, just as it was made leader."""
    mappers = [each.name for each in faults.world.mappers]
    names = faults.random.sample([each.name for each in faults.world.nodes], 3)
    for number, name in enumerate(names):
        cut = partial(_cut_from, faults, name, mappers, faults.random.uniform(3.0, 5.0))
        faults.world.timeline.after(4 * number, cut)
    return ", ".join(names)


def _weather(faults: Faults) -> str:
    network = faults.world.network
    network.loss = faults.random.choice((0.0, 0.02, 0.2))
    network.double = faults.random.choice((0.0, 0.1))
    network.slow = faults.random.choice((0.0, 0.02, 0.2))
    return f"loss {network.loss}, double {network.double}, slow {network.slow}"


def _silence_database(faults: Faults) -> str:
    database = faults.world.database
    database.down = True

    def end() -> None:
        database.down = False

    faults.later(end)
    return "for a while"


def _lie(faults: Faults) -> str:
    database = faults.world.database
    chance = faults.random.choice((0.1, 0.5))
    database.lie = lambda: faults.random.random() < chance

    def end() -> None:
        database.lie = lambda: False

    faults.later(end)
    return f"at {chance:.0%} of commits"


def _keep(faults: Faults) -> str:
    faults.kept = faults.world.database.snapshot()
    return "kept"


def _restore(faults: Faults) -> str:
    if not faults.loses_database:
        return ""
    world = faults.world
    lost = faults.random.random() < 0.3
    silent = not lost and faults.random.random() < 0.5 and _are_heard(faults)
    world.database.restore(None if lost else faults.kept, told=not silent)
    if not silent:
        return "lost" if lost else "put back"
    for mapper in world.mappers:
        mapper.stop()
        mapper.start()
    faults.calm_until = world.timeline.time + _CALM
    return "put back, and nobody says so"


def _are_heard(faults: Faults) -> bool:
    """Whether every server will be heard at once by a mapper that begins now, whatever its disks do."""
    world, now = faults.world, faults.world.timeline.time
    hosts = [*world.nodes, *world.mappers]
    network = world.network
    return not (network.cuts or network.late or network.loss or world.database.down) and all(
        each.up and each.hung_until <= now for each in hosts
    )


def _fail_disk(faults: Faults) -> str:
    disk = faults.random.choice([each for node in faults.world.nodes for each in node.disks])
    disk.healthy = False

    faults.later(disk.open)
    return disk.id


def _is_calm(faults: Faults) -> bool:
    """Whether nothing is broken, and the leading mapper can know that: what fails next is the only failure."""
    world, now = faults.world, faults.world.timeline.time
    hosts = [*world.nodes, *world.mappers]
    disks = [each for node in world.nodes for each in node.disks]
    leading = [each.mapper for each in world.mappers if each.up and each.mapper.leads()]
    return (
        now >= faults.broken_at + _SEEN
        and not world.network.cuts
        and all(each.up and each.hung_until <= now for each in hosts)
        and all(each.healthy for each in disks)
        and len(disks) == DISKS * len(world.nodes)
        and len(leading) == 1
        and all(leading[0].sightings.silence(each.name, now) < _SEEN for each in world.nodes)
        and all(
            (seen := leading[0].sightings.disk(node.name, each.id)) is not None and seen.health == "good"
            for node in world.nodes
            for each in node.disks
        )
        # A leader that asks for another member to be dropped is about to be alone, also when the question is late.
        and world.drops_until < now
    )


def _lose_disk(faults: Faults) -> str:
    """For good, where another disk has everything and nothing else is broken."""
    if faults.loses_database:
        return ""
    node = faults.random.choice(faults.world.nodes)
    disk = faults.random.choice(node.disks)
    now = faults.world.timeline.time
    if not _is_calm(faults):
        return ""
    for placement in faults.world.database.model.placements.values():
        complete = {each.disk_id: each.server for each in placement.complete()}
        # A leader that makes a change may ask for another member to be dropped; and where a disk was just put into the
        # server of the other copy, a mapper gives one of the two up.
        alone = len(complete) == 1 or not node.leader.idle(placement.id) or complete.get(disk.id) != node.name
        if disk.id in complete and alone:
            return ""
    node.wipe(disk)
    faults.calm_until = now + _CALM
    return disk.id


def _move_disk(faults: Faults) -> str:
    """A disk is pulled out of one server and put into another."""
    giver, taker = faults.random.sample(faults.world.nodes, 2)
    if len(giver.disks) < 2:
        return ""
    disk = faults.random.choice(giver.disks)
    giver.disks.remove(disk)

    def put() -> None:
        disk.open()
        taker.plug(disk)

    faults.later(put)
    return f"{disk.id} from {giver.name} to {taker.name}"


def _muddle(faults: Faults) -> str:
    """Messages are late, and no mapper can help: what was given up comes after what was done since."""
    network, database = faults.world.network, faults.world.database
    network.slow = faults.random.choice((0.2, 0.5))
    database.down = True

    def end() -> None:
        network.slow = 0.0
        database.down = False

    seconds = faults.random.uniform(4.0, 12.0)
    faults.world.timeline.after(seconds, end)
    return f"for {seconds:.1f} s"


def _find_orders(faults: Faults) -> Orders | None:
    """How an operator reaches the mapper that leads; None when that cannot be."""
    now = faults.world.timeline.time
    leading = [each for each in faults.world.mappers if each.up and each.hung_until < now and each.mapper.leads()]
    return Orders(leading[0].mapper) if leading else None


def _hand_over(faults: Faults) -> str:
    """An operator has another copy lead."""
    orders = _find_orders(faults)
    placements = list(faults.world.database.model.placements.values())
    if orders is None or not placements:
        return ""
    placement = faults.random.choice(placements)
    heir = faults.random.choice(placement.members)
    with contextlib.suppress(DrystoneError, NotLeadingError):
        orders.lead(LeadOrder(placement.id, heir.server))
        return f"{placement.id} to {heir.server}"
    return ""


def _drain(faults: Faults) -> str:
    """An operator has a disk emptied, and changes their mind later."""
    node = faults.random.choice(faults.world.nodes)
    disk = faults.random.choice(node.disks).name if node.disks else ""

    marked: list[DiskMark] = []

    def mark(what: DiskMark) -> None:
        orders = _find_orders(faults)
        if orders is not None and disk:
            with contextlib.suppress(DrystoneError, NotLeadingError):
                orders.mark_disk(DiskOrder(node.name, disk, what))
                marked.append(what)

    mark("draining")
    faults.later(lambda: mark(""))
    return f"{node.name}/{disk}" if marked else ""


_FAULTS: dict[str, tuple[float, Fault]] = {
    "stop": (3.0, lambda faults: _stop(faults, faults.world.nodes)),
    "stop mapper": (1.5, lambda faults: _stop(faults, faults.world.mappers)),
    "hang": (3.0, _hang),
    "cut": (3.0, _cut),
    "isolate": (2.0, _isolate),
    "fade": (1.5, _fade),
    "seesaw": (1.0, _seesaw),
    "weather": (1.0, _weather),
    "database silent": (0.7, _silence_database),
    "database lies": (0.7, _lie),
    "database kept": (1.0, _keep),
    "database restored": (0.7, _restore),
    "disk fails": (1.0, _fail_disk),
    "disk lost": (4.0, _lose_disk),
    "disk moved": (0.5, _move_disk),
    "muddle": (1.0, _muddle),
    "lead handed over": (1.5, _hand_over),
    "disk drained": (0.7, _drain),
}
"""Name to how often, and how."""
_THEMES: tuple[frozenset[str], ...] = (
    frozenset(),
    frozenset({"muddle", "lead handed over"}),
    frozenset({"database restored", "database kept", "disk fails", "disk moved"}),
    frozenset({"database lies", "stop", "fade"}),
    frozenset({"disk lost", "disk drained", "disk moved"}),
)
"""Faults that are more frequent, one of these in each run: else what takes two of a kind would hardly be met."""
_EMPHASIS = 6
