"""Random schedules of faults on a fleet of real processes; what clients saw is checked afterwards.

python -m drystone.testing.fleet.schedules --seeds 0:200        each prints its seed; the same seed is the same schedule

Nothing that was acknowledged is lost, no read is older than what was read or acknowledged before it, no byte is served
that nobody wrote, of two puts of one absent key one wins, no epoch has two leaders, and when all faults are over
everything is there again on two disks, of which each is made the leader in turn and read.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from drystone.fleet.documents import Placement
from drystone.fleet.orders import LeadOrder
from drystone.testing.fleet.history import History
from drystone.testing.fleet.mounts import can_mount
from drystone.testing.fleet.plan import DISKS, Schedule, Step, plan
from drystone.testing.fleet.processes import FleetProcesses, Server, flip_byte, truncate, wait_until
from drystone.testing.fleet.workers import BUCKET, Workers

_DISK_SIZE = 256 << 20
_CHANGES = 20
"""That clients must have had acknowledged, before and after faults: on a slow machine they go on until then."""
_SETTLED = 1.0
"""Seconds: a file that is younger may be on its way still, and is not damaged."""


@dataclass(slots=True)
class Outcome:
    """What came of a schedule. :ivar faults: what is wrong. :ivar counts: of what clients were answered.

    :ivar seconds: that it took. :ivar notes: what was done.
    """

    schedule: Schedule
    faults: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        state = "FAILED" if self.faults else "ok"
        counts = ", ".join(f"{name}: {count}" for name, count in sorted(self.counts.items()))
        made = self.schedule
        what = f"{made.profile}, {made.policy}, {len(made.storage)} and {len(made.mappers)}; {self.seconds:.0f} s"
        lines = [f"seed {made.seed}: {state} ({what}) {counts}"]
        if self.faults:
            again = f"again: --seeds {self.schedule.seed} --seconds {self.schedule.seconds:g}"
            lines += [f"  {each}" for each in (again, *map(str, self.schedule.steps), *self.notes, *self.faults)]
        return "\n".join(lines)


class _Watcher:
    """Asks the mapper for the map again and again: who leads in which epoch, and whether our key is known."""

    def __init__(self, fleet: FleetProcesses) -> None:
        self._fleet = fleet
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.leaders: dict[tuple[str, int], set[str]] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(0.5):
            with contextlib.suppress(AssertionError):
                self.look()

    def look(self) -> None:
        """Once."""
        known = self._fleet.map()
        for each in known.placements:
            self.leaders.setdefault((each.id, each.epoch), set()).add(each.leader)
        if all(each.access_key != self._fleet.key.access_key for each in known.keys):
            self._fleet.make_key(self._fleet.key)

    def faults(self) -> list[str]:
        """Epochs with two leaders."""
        return [
            f"placement {id_} had the leaders {sorted(found)} in epoch {epoch}"
            for (id_, epoch), found in self.leaders.items()
            if len(found) > 1
        ]


class Ordeal:
    """Does the steps of a schedule to a fleet. :param notes: gets what was done."""

    def __init__(self, fleet: FleetProcesses, schedule: Schedule, notes: list[str]) -> None:
        self._fleet = fleet
        self._schedule = schedule
        self._notes = notes
        self._begun = time.monotonic()
        self._away: set[Path] = set()
        self._down: set[str] = set()

    def run(self) -> None:
        """Until all steps are over. :raises AssertionError: a server did not end as it should."""
        self._begun = time.monotonic()
        events = [(step.begin, number, step) for number, step in enumerate(self._schedule.steps)]
        events += [
            (step.end, number, step) for number, step in enumerate(self._schedule.steps) if step.end > step.begin
        ]
        ends: dict[int, Callable[[], None] | None] = {}
        for at, number, step in sorted(events, key=lambda each: each[:2]):
            time.sleep(max(0.0, self._begun + at - time.monotonic()))
            if number not in ends:
                ends[number] = self._begin(step)
                self._note(
                    f"{step.fault} {step.target}" if ends[number] or step.end == step.begin else "(not possible)"
                )
            elif (end := ends[number]) is not None:
                end()
                self._note(f"end of {step.fault} {step.target}")
        time.sleep(max(0.0, self._begun + self._schedule.seconds - time.monotonic()))

    def _note(self, text: str) -> None:
        self._notes.append(f"{time.monotonic() - self._begun:5.1f} {text}")

    def _server(self, name: str) -> Server:
        return next(each for each in self._fleet.everybody if each.name == name)

    def _begin(self, step: Step) -> Callable[[], None] | None:
        """Begin a fault; what ends it, None when it cannot be or does not last."""
        match step.fault:
            case "stop" | "kill" | "hang":
                return self._halt(self._server(step.target), step.fault)
            case "cut":
                return self._cut(step)
            case "flip" | "truncate":
                self._damage(step)
                return None
            case "unmount" | "fill":
                return self._take_disk(step)
            case "lose-database" | "restore-database":
                return self._change_database(step)

    def _halt(self, server: Server, how: str) -> Callable[..., None] | None:
        if server.name in self._down:
            return None
        assert server.pid, f"{server.name} ended by itself"
        self._down.add(server.name)
        if how == "hang":
            server.hang()
        elif how == "stop":
            ready = server.listens()
            code = server.stop()
            assert code == 0 or not ready, f"{server.name} ended with {code} when it was told to end"
        else:
            server.kill()

        def revive(*words: str) -> None:
            self._down.discard(server.name)
            if how == "hang":
                server.resume()
            elif not server.pid:
                server.begin(*words)

        return revive

    def _cut(self, step: Step) -> Callable[[], None]:
        pairs = ((step.target, step.called), (step.called, step.target))
        for caller, called in pairs:
            self._fleet.network.cut(caller, called, step.how)

        def heal() -> None:
            for caller, called in pairs:
                self._fleet.network.heal(caller, called)

        return heal

    def _damage(self, step: Step) -> None:
        """Damage a file of the victim's, when the other copy of it is good for certain."""
        if not self._fleet.is_protected():
            return
        late = time.time() - _SETTLED
        files = []
        for disk in self._fleet.disks(self._server(self._schedule.victim)):
            for path in self._fleet.stored_files(disk):
                with contextlib.suppress(FileNotFoundError):  # deleted just now
                    state = path.stat()
                    if state.st_mtime < late and state.st_size:
                        files.append((path, state.st_size))
        if files:
            source = random.Random(step.number)  # noqa: S311  # it repeats itself on purpose
            path, size = source.choice(files)
            at = source.randrange(size)
            with contextlib.suppress(FileNotFoundError):
                (flip_byte if step.fault == "flip" else truncate)(path, at)
            self._note(f"{step.fault} {path.name} at {at} of {size}")

    def _take_disk(self, step: Step) -> Callable[[], None] | None:
        disk = self._fleet.disk(self._server(step.target), step.number)
        if disk in self._away or (step.fault == "fill" and self._fleet.mounts is None):
            return None
        self._away.add(disk)
        (self._fleet.fill if step.fault == "fill" else self._fleet.unmount)(disk)

        def bring_back() -> None:
            self._away.discard(disk)
            (self._fleet.drain if step.fault == "fill" else self._fleet.mount)(disk)

        return bring_back

    def _change_database(self, step: Step) -> Callable[[], None] | None:
        """Lose it at once, and have mappers again at the end; or keep a copy, and put it back at the end."""
        if any(each.name in self._down for each in self._fleet.mappers):
            return None
        if step.fault == "lose-database":
            revive = self._end_mappers()
            self._fleet.database_file.unlink()
            return revive
        copy = self._fleet.root / f"copy-{time.monotonic_ns()}"
        self._fleet.copy_database(copy)

        def put_back() -> None:
            if any(each.name in self._down for each in self._fleet.mappers):
                return
            revive = self._end_mappers()
            copy.rename(self._fleet.database_file)
            revive(*(["--recover"] if step.told else []))

        return put_back

    def _end_mappers(self) -> Callable[..., None]:
        """Kill all of them, and fold the database into its one file; starts them again, with more words."""
        ends = [self._halt(each, "kill") for each in self._fleet.mappers]
        self._fleet.fold_database()

        def revive(*words: str) -> None:
            for end in ends:
                if end is not None:
                    end(*words)

        return revive


def make_fleet(schedule: Schedule, root: Path) -> FleetProcesses:
    """The fleet of a schedule. Where files are damaged, copies of servers that are away are not made anew: what is
    damaged on the one could be good on the other only. Clients are told to try again after 3 seconds: they have more
    to do than to wait."""
    replace = "30" if schedule.profile == "damage" else "6"
    return FleetProcesses(
        root,
        servers=len(schedule.storage),
        disks=DISKS,
        mappers=len(schedule.mappers),
        disk_size=_DISK_SIZE if can_mount() else 0,
        mapper_words=("--dead", "3", "--replace", replace, "--policy", schedule.policy),
        storage_words=("--patience", "3"),
    )


def run_schedule(seed: int, root: Path, seconds: float = 20.0) -> Outcome:
    """Run the schedule of a seed in an empty folder."""
    begun = time.monotonic()
    outcome = Outcome(plan(seed, seconds))
    fleet = make_fleet(outcome.schedule, root)
    history = History()
    workers = Workers(fleet.client, [each.url for each in fleet.storage], history, seed)
    try:
        with fleet:
            fleet.start()
            reply = fleet.client.ask(fleet.storage[0].url, "PUT", f"/{BUCKET}")
            assert reply.status == 200, f"no bucket: {reply}"
            with _Watcher(fleet) as watcher:
                workers.start()
                try:
                    Ordeal(fleet, outcome.schedule, outcome.notes).run()
                    wait_until(f"clients have changed something: {seed}", lambda: workers.changes() >= _CHANGES)
                finally:
                    workers.stop()
                wait_until(f"everything is protected: {seed}", fleet.is_protected)
                workers.read_all("first reader")
                _change_leaders(fleet)
                workers.read_all("second reader")
                outcome.faults += watcher.faults()
            for each in fleet.everybody:
                code = each.stop()
                if code != 0:
                    outcome.faults.append(f"{each.name} ended with {code} when it was told to end")
    except AssertionError as error:
        outcome.faults.append("".join(traceback.format_exception(error)[-3:]))
    outcome.counts = dict(workers.counts)
    outcome.seconds = time.monotonic() - begun
    outcome.faults += history.check()
    return outcome


def _change_leaders(fleet: FleetProcesses) -> None:
    """Make the other copy of every placement the leader, and wait until all is protected again."""
    for placement in fleet.map().placements:
        others = [each.server for each in placement.in_sync() if each.server != placement.leader]
        fleet.ask_mapper("/internal/lead", Placement, LeadOrder(placement.id, others[0]))
    wait_until("everything is protected after a change of leaders", fleet.is_protected)


def list_seeds(text: str) -> list[int]:
    """The seeds of `3,10:20`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, end = part.partition(":")
        found += range(int(first), int(end or int(first) + 1))
    return found


def main() -> int:
    """Run schedules; 1 when one failed."""
    parser = argparse.ArgumentParser(description="Random schedules of faults on a fleet of real processes.")
    parser.add_argument("--seeds", default="0:10", help="FIRST:END, END not among them; several with commas")
    parser.add_argument("--seconds", type=float, default=20.0, help="that the faults of each are spread over")
    parser.add_argument("--jobs", type=int, default=1, help="that run at the same time")
    parser.add_argument("--keep", type=Path, help="folder for what failed: logs and disks")
    asked = parser.parse_args()
    failed = []
    done: Counter[str] = Counter()
    seeds = list_seeds(asked.seeds)
    with ThreadPoolExecutor(asked.jobs) as pool:
        for seed, outcome in zip(
            seeds, pool.map(lambda each: _run(each, asked.seconds, asked.keep), seeds), strict=True
        ):
            print(outcome, flush=True)  # noqa: T201  # what the command is for
            done += Counter(outcome.counts)
            if outcome.faults:
                failed.append(seed)
    counts = ", ".join(f"{name}: {count}" for name, count in sorted(done.items()))
    print(f"{len(seeds)} schedules; {counts}\nfailed: {failed or 'none'}")  # noqa: T201
    return 1 if failed else 0


def _run(seed: int, seconds: float, keep: Path | None) -> Outcome:
    """In a folder of its own, of which a copy is kept when it failed."""
    folder = Path(tempfile.mkdtemp(prefix="fleet-schedule-"))
    outcome = run_schedule(seed, folder / "fleet", seconds)
    if outcome.faults and keep is not None:
        shutil.copytree(folder / "fleet", keep / f"seed-{seed}", symlinks=True)
    shutil.rmtree(folder)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
