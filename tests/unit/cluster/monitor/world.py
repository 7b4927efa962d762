"""A cluster whose kernels are simulated: API, database, agents and monitors in one process, killed at any step.

A step is before and after each call of an agent and each transaction of a monitor. A monitor that is killed leaves what
it has done, and nothing of what it remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from msgspec import json

from drystone.base.errors import NotFoundError, UnavailableError
from drystone.cluster.agents.answers import LegsSeen, Survey, VolumeSeen
from drystone.cluster.agents.watch import Watcher
from drystone.cluster.model.backup import BackupSeen, BackupWish, RestoreWish
from drystone.cluster.model.calls import LegsWish, VolumeWish, target_name
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.monitor.rounds import Rounds, Way
from drystone.cluster.queue.hint import Hint
from drystone.cluster.state import rows
from drystone.cluster.state.database import Database, Work
from drystone.testing.cluster.bench import HOST, DpvHost, IhostHost
from drystone.testing.cluster.client import AGENT, Client
from drystone.testing.cluster.kernels import Crash
from drystone.wire.problems import from_problem

Result = TypeVar("Result")

MIB = 1 << 20
PATIENCE = 3
LEASE_STEPS = 2
"""Of a round with nothing to do."""
SIZE = 16 * MIB


class Steps:
    """Counts; the monitor is killed at a step, and then every `period` steps."""

    def __init__(self) -> None:
        self.count = 0
        self.kills = 0
        self._next = 0
        self._period = 0

    def kill_from(self, step: int, period: int) -> None:
        """Kill it at that step from now, and then every `period` steps."""
        self._next, self._period = self.count + step, period

    def step(self) -> None:
        self.count += 1
        if self.count == self._next:
            self._next += self._period
            self.kills += 1
            raise Crash


class SteppedDatabase(Database):
    """A monitor's database."""

    def __init__(self, url: str, steps: Steps) -> None:
        super().__init__(url)
        self._steps = steps

    def change(self, action: Callable[[Work], Result], *, caller: str = "", request: str = "") -> Result:
        self._steps.step()
        found = super().change(action, caller=caller, request=request)
        self._steps.step()
        return found


class Link:
    """An agent at the other end of a wire that may be cut."""

    def __init__(self, world: World, address: str) -> None:
        self._world = world
        self._address = address

    def put(self, wish: Any) -> Any:
        agent = self._reach()
        self._world.steps.step()
        self._world.forget_disks()
        self._world.puts.append((self._address, wish))
        seen = agent.put(wish)
        self._world.steps.step()
        return seen

    def look(self, dlv: str, kind: type[Any]) -> Any:
        seen: LegsSeen | VolumeSeen = self._reach().look(dlv)
        assert isinstance(seen, kind)
        return seen

    def back_up(self, wish: BackupWish) -> BackupSeen:
        self._reach()
        self._world.steps.step()
        seen = self._world.backups.put(wish)
        self._world.steps.step()
        return seen

    def stop_backup(self, backup: str) -> None:
        self._reach()
        self._world.steps.step()
        self._world.backups.stop(backup)
        self._world.steps.step()

    def restore(self, wish: RestoreWish) -> BackupSeen:
        self._reach()
        self._world.steps.step()
        seen = self._world.restores.put(wish)
        self._world.steps.step()
        return seen

    def survey(self) -> Survey:
        found: Survey = self._reach().survey()
        return found

    def _reach(self) -> Any:
        if self._address in self._world.cut:
            raise UnavailableError(f"nobody answers at {self._address}")
        name = self._address.partition(":")[0]
        return self._world.ihost.agent if name == "h1" else self._world.dpvs[name].agent


class NotedBackups:
    """What an ihost makes of backups: each is half done when it is told of it first, and made when it is told again.

    :ivar made: those that a repository has. :ivar fails: why none is made, "" for no reason.
    """

    def __init__(self) -> None:
        self.running: dict[str, BackupWish] = {}
        self.made: dict[str, BackupWish] = {}
        self.fails = ""
        self.hangs = False

    def put(self, wish: BackupWish) -> BackupSeen:
        if wish.id in self.made:
            return BackupSeen(wish.id, "finished", "", wish.size, wish.size, f"of {wish.id[:8]}")
        if self.fails:
            return BackupSeen(wish.id, "failed", self.fails)
        if wish.id in self.running and not self.hangs:
            self.made[wish.id] = self.running.pop(wish.id)
            return self.put(wish)
        self.running[wish.id] = wish
        return BackupSeen(wish.id, "running", "", wish.size // 2, wish.size)

    def stop(self, backup: str) -> None:
        if self.running.pop(backup, None) is None:
            raise NotFoundError(f"there is no backup {backup} here")


class NotedRestores:
    """What an ihost makes of restores: half of one when it is told of it first, all when it is told again; nothing
    where the kernel does not have the volume's thin device, or has its final one.

    :ivar filled: by the ids of dlvs. :ivar fails: why it cannot be, "" for no reason.
    """

    def __init__(self, tables: Callable[[], dict[str, str]]) -> None:
        self._tables = tables
        self.running: dict[str, RestoreWish] = {}
        self.filled: dict[str, RestoreWish] = {}
        self.fails = ""
        self.hangs = False

    def put(self, wish: RestoreWish) -> BackupSeen:
        there = self._tables()
        if f"drystone-dlv-{wish.name}:thin0" not in there:
            raise UnavailableError(f"dlv {wish.name} is not here")
        assert f"drystone-dlv-{wish.name}" not in there, "somebody could have it open"
        if self.fails:
            return BackupSeen(wish.id, "failed", self.fails)
        if wish.id in self.running and not self.hangs:
            self.filled[wish.dlv] = wish
            return BackupSeen(wish.id, "finished", "", SIZE, SIZE, wish.backup)
        self.running[wish.id] = wish
        return BackupSeen(wish.id, "running", "", SIZE // 2, SIZE)


class ApiRecord:
    """Where the ihost's watcher records in-sync sets: the API."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def shrink(self, wish: VolumeWish, lost: Collection[str]) -> VolumeWish:
        return self._commit("lost", wish, lost)

    def grow(self, wish: VolumeWish, copied: Collection[str]) -> VolumeWish:
        return self._commit("copied", wish, copied)

    def _commit(self, what: str, wish: VolumeWish, legs: Collection[str]) -> VolumeWish:
        epochs = {"attachment": wish.attachment, "epoch": wish.epoch, "set_epoch": wish.set_epoch}
        body = {"ihost": "h1", **epochs, "legs": [*legs]}
        answer = self._client.send("POST", f"/agents/dlvs/{wish.dlv}/{what}", body, token=AGENT)
        if answer.status_code != 200 and answer.json()["code"] == "mismatch":
            answer = self._client.send("GET", f"/agents/dlvs/{wish.dlv}/wish?ihost=h1", token=AGENT)
        if answer.status_code != 200:
            raise from_problem(answer.json())
        return json.decode(answer.content, type=VolumeWish)


class World:
    """Dpvs d1, d2, ..., each in a place of its own, dvg `fast` of them, and ihost h1.

    :param client: of an API over the same database.
    """

    def __init__(self, folder: Path, client: Client, url: str, *, dpvs: int = 2) -> None:
        self.client = client
        self.steps = Steps()
        self.cut: set[str] = set()
        self.puts: list[tuple[str, LegsWish | VolumeWish]] = []
        self.database = SteppedDatabase(url, self.steps)
        self.database.open()
        self.dpvs = {f"d{at + 1}": DpvHost(folder / f"d{at + 1}", f"127.0.0.1:{3261 + at}") for at in range(dpvs)}
        self.ihost = IhostHost(folder / "h1", [*self.dpvs.values()])
        for name, host in self.dpvs.items():
            addresses = {"address": f"{name}:9400", "portal": str(host.portal)}
            client.must("POST", "/dpvs", {"name": name, "size": 240 * MIB, **addresses})
        client.must("POST", "/dvgs", {"name": "fast", "dpvs": [*self.dpvs]})
        client.must("POST", "/ihosts", {"name": "h1", "address": "h1:9401", "initiator": HOST})
        self.backups = NotedBackups()
        self.restores = NotedRestores(self.ihost.tables)
        self.hints: tuple[Hint, ...] = ()
        """What the monitor hears before each round."""
        self.started = 0
        self.start()
        self.go(1)

    def start(self) -> None:
        """A monitor that remembers nothing."""
        self.started += 1
        self.monitor = self.make_monitor(f"monitor{self.started}")

    def make_monitor(self, name: str) -> Rounds:
        way = Way(lambda address: Link(self, address), lambda work: work())
        return Rounds(self.database, name, way, way, patience=PATIENCE)

    def go(self, rounds: int = 0) -> None:
        """Rounds of the monitor: so many, or until there is one with nothing to do.

        When it is killed another one goes on, with the lease of the first.
        """
        for turn in range(rounds or 4 * PATIENCE):
            before = self.steps.count
            try:
                self.monitor.heed(self.hints)
                before = self.steps.count
                self.monitor.go()
            except Crash:
                self.monitor = self.make_monitor(f"monitor{self.started}")
            else:
                if not rounds and turn and self.steps.count == before + LEASE_STEPS:
                    return

    def watch(self) -> None:
        """What the ihost's watcher does, until there is no more."""
        watcher = Watcher(self.ihost.agent, self.ihost.devices, ApiRecord(self.client))
        for _ in range(4):
            watcher.look()
            watcher.finish()
        # Another disk may get the number of one that is gone.
        there = {*self.ihost.legs().values()}
        self.ihost.dm.letters = {key: each for key, each in self.ihost.dm.letters.items() if key in there}

    def dlv(self, name: str = "db") -> Dlv:
        """A dlv as it is recorded."""
        return self.client.desk.database.read(lambda connection: rows.load_dlv(connection, name))

    def make(self, **wanted: object) -> Dlv:
        """Create `db`, and have it made."""
        self.client.must("POST", "/dlvs", {"name": "db", "dvg": "fast", "size": SIZE, **wanted})
        self.go()
        assert self.dlv().status == "detached", self.dlv().reason
        return self.dlv()

    def attach(self) -> Dlv:
        """Attach `db` to h1."""
        self.client.must("PUT", "/dlvs/db/attachment", {"ihost": "h1"})
        self.go()
        assert self.dlv().status == "attached", self.dlv().reason
        return self.dlv()

    def fail(self, leg: str) -> None:
        """A leg refuses writes from now on, and the ihost records that."""
        self.ihost.initiator.offline.add(target_name(leg))
        self.ihost.dm.fail(self.ihost.legs()[target_name(leg)])
        self.watch()

    def heal(self) -> None:
        """All legs that there are work again."""
        self.ihost.initiator.offline.clear()
        self.ihost.dm.letters.clear()

    def lose(self, name: str) -> None:
        """A dpv is away: its agent, and its targets."""
        self.cut.add(f"{name}:9400")
        for target in self.dpvs[name].lio.targets():
            self.dpvs[name].lio.enable_target(target.iqn, enabled=False)
            self.ihost.initiator.offline.add(target.iqn)
            if target.iqn in self.ihost.legs():
                self.ihost.dm.fail(self.ihost.legs()[target.iqn])
        self.watch()

    def bring_back(self, name: str) -> None:
        """A dpv that was lost is there again, as it was."""
        self.cut.discard(f"{name}:9400")
        for target in self.dpvs[name].lio.targets():
            self.dpvs[name].lio.enable_target(target.iqn)
        self.heal()

    def forget_disks(self) -> None:
        """Another disk may get the number of one that is gone, and have another size."""
        machine = self.ihost.dm.machine
        there = {*self.ihost.legs().values(), *self.ihost.logs.numbers.values()}
        for number in [*machine.disks]:
            if number not in there and not machine.held(number):
                del machine.disks[number]

    def outside(self) -> set[str]:
        """The dpvs of legs that are in no set."""
        return {leg.dpv for leg in self.dlv().legs if not leg.in_sync}

    def admitted(self) -> set[str]:
        """All who are let in to some leg."""
        return {name for host in self.dpvs.values() for names in host.admitted().values() for name in names}

    def slices(self) -> dict[str, set[str]]:
        """The legs that are on the dpvs' disks."""
        return {name: {each.leg for each in host.slices.read().slices} for name, host in self.dpvs.items()}

    def close(self) -> None:
        self.database.close()
