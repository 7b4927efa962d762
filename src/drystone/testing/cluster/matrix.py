"""The fault matrix: an operation on a volume, a part of the cluster that fails at one of its steps, and a look at all.

A cell is `OPERATION/FAULT/STEP`: the fault comes when so many events of the operation are recorded (0: as it is asked
for), stays for some seconds, and is over. Then the operation must come to its end by itself, the volume be attached and
whole, a writer go on. Checked afterwards:

* every block, of each leg of a set alone: not older than what was acknowledged; what readers saw (`numbered`);
* the pool's metadata and the file system of each leg alone (`images`); of a snapshot likewise;
* the tables of the ihost's kernel and what dpvs export, against the record (`within.differences`);
* after the deletion nothing is left on any host.

Who has guests calls `run`; `scripts/cluster_matrix.py` does, with those of the lab.
"""

from __future__ import annotations

import random
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import msgspec

from drystone.base.errors import DrystoneError, UsageError
from drystone.cluster.model.dlv import Dlv
from drystone.testing.cluster.guests import DATABASE, Guest, NotSoError, Part, Site, await_that
from drystone.testing.cluster.images import FILE, find_unsound, join_legs, leg_names, read_file, thin_volume
from drystone.testing.cluster.numbered import BLOCK, BLOCKS, History

OPERATIONS = ("create", "attach", "snapshot", "extend", "failover", "detach")
FAULTS = (
    "api", "monitor", "database", "ihost-agent", "dpv-agent", "ihost-kernel", "dpv-kernel", "ihost-link", "dpv-link",
)  # fmt: skip
"""What is killed (processes, kernels), held (the database) or cut (links)."""
STEPS = range(4)
SIZE = 24 << 20
PLACE = "/mnt/volume"
_OUTAGE = 5.0
"""Seconds that a fault stays."""
_STEP_SECONDS = 20.0
"""That an event is waited for: where an operation has fewer, the fault comes after it."""
_WRITES = 30
"""Acknowledgements before a fault, and after it."""


@dataclass(frozen=True, order=True)
class Cell:
    """What fails when."""

    operation: str
    fault: str
    step: int

    def __str__(self) -> str:
        return f"{self.operation}/{self.fault}/{self.step}"


def all_cells() -> list[Cell]:
    """The whole matrix."""
    return [Cell(*each) for each in product(OPERATIONS, FAULTS, STEPS)]


def plan(seed: int, count: int) -> list[Cell]:
    """Cells of a seed: no cell twice before all were there."""
    found: list[Cell] = []
    choose = random.Random(seed)  # noqa: S311 - not for secrets
    while len(found) < count:
        cells = all_cells()
        choose.shuffle(cells)
        found += cells
    return found[:count]


def parse(text: str) -> Cell:
    """The inverse of str. :raises UsageError: there is no such cell."""
    found = {str(each): each for each in all_cells()}.get(text)
    if found is None:
        raise UsageError(f"{text!r} is no cell", hint=f"such as {all_cells()[0]}")
    return found


@dataclass
class Outcome:
    """What came of a cell. :ivar wrong: what did not hold. :ivar longest: seconds between two acknowledgements."""

    cell: Cell
    wrong: list[str] = field(default_factory=list)
    writes: int = 0
    longest: float = 0.0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        state = "FAILED" if self.wrong else "ok"
        lines = "".join(f"\n    {each}" for each in self.wrong)
        return f"{self.cell}: {state}, {self.writes} writes, {self.seconds:.0f} s; {' '.join(self.notes)}{lines}"


class Trial:
    """One cell on a site."""

    def __init__(self, site: Site, cell: Cell, number: int) -> None:
        self.site, self.cell, self.name = site, cell, f"v{number}"
        self.outcome = Outcome(cell)
        self._history = History()
        self._snapshots: dict[str, dict[int, int]] = {}
        self._writer: Part | None = None
        self._taken = self._runs = 0
        self._is_formatted = self._may_fail = False
        self._victim = ""
        self._down: set[str] = set()

    def go(self) -> Outcome:
        """The whole cell."""
        begun = time.monotonic()
        try:
            self._prepare()
            self._operate()
            self._settle()
            self._check_all()
            self._remove()
        except (NotSoError, DrystoneError) as error:
            self.outcome.wrong.append(f"{error}")
        except Exception:  # noqa: BLE001 - a defect of the trial fails its cell, with all that is known of it
            self.outcome.wrong.append(traceback.format_exc())
        self.outcome.wrong += self._history.wrong
        self.outcome.writes = self._history.count
        self.outcome.seconds = time.monotonic() - begun
        return self.outcome

    # The volume

    @property
    def _device(self) -> str:
        return f"/dev/mapper/drystone-dlv-{self.name}"

    def _await(self, what: str, is_so: Callable[[Any], object]) -> Any:
        """Until the record is so; the record."""
        seen: list[Any] = []

        def look() -> bool:
            seen[:] = [self.site.dlv(self.name)]
            return bool(is_so(seen[0]))

        try:
            await_that(what, look)
        except NotSoError as error:
            raise NotSoError(f"{error}; it is {seen[:1]}") from error
        return seen[0]

    def _prepare(self) -> None:
        """As it is to be before the operation."""
        if self.cell.operation != "create":
            self._create()
            self._await("its legs are made", is_status("detached"))
        if self.cell.operation in {"snapshot", "extend", "failover", "detach"}:
            self._attach()
            self._await("it is attached", is_status("attached"))
            self._begin_writing()
        if self.cell.operation == "detach":
            self._stop_writing()
            self.site.must(self.site.host, "umount", PLACE)

    def _create(self) -> None:
        self.site.tell("POST", "/dlvs", {"name": self.name, "dvg": "fast", "size": SIZE})

    def _attach(self) -> None:
        self.site.tell("PUT", f"/dlvs/{self.name}/attachment", {"ihost": "h1"})

    def _snapshot(self) -> None:
        self._take_lines()
        self._snapshots["s1"] = dict(self._history.words)
        self.site.tell("POST", f"/dlvs/{self.name}/snapshots", {"name": "s1"})

    def _extend(self) -> None:
        self.site.tell("POST", f"/dlvs/{self.name}/extend", {"size": SIZE})

    def _detach(self) -> None:
        self.site.tell("DELETE", f"/dlvs/{self.name}/attachment")

    def _fail_over(self) -> None:
        legs = self.site.dlv(self.name)["legs"]
        self._victim = next(leg["dpv"] for leg in legs if leg["group"] == 1)
        self._down.add(self._victim)
        self.site.kill_kernel(self._victim)

    def _operate(self) -> None:
        """The operation, and the fault at its step; until the operation has come to its end."""
        begin = {
            "create": self._create,
            "attach": self._attach,
            "snapshot": self._snapshot,
            "extend": self._extend,
            "failover": self._fail_over,
            "detach": self._detach,
        }[self.cell.operation]
        ended: dict[str, Callable[[Any], object]] = {
            "create": is_status("detached"),
            "attach": is_status("attached"),
            "snapshot": lambda dlv: dlv and [each["status"] for each in dlv["snapshots"]] == ["available"],
            "extend": lambda dlv: dlv and len(dlv["groups"]) > 2 and not any(each["blank"] for each in dlv["groups"]),
            "failover": lambda dlv: is_whole(dlv) and self._victim not in {leg["dpv"] for leg in dlv["legs"]},
            "detach": is_status("detached"),
        }
        before = len(self.site.seen_events(self.name))
        with ThreadPoolExecutor() as pool:
            if self.cell.operation == "failover":
                begin()
            asked = None if self.cell.operation == "failover" else pool.submit(begin)
            end = time.monotonic() + _STEP_SECONDS
            while len(self.site.seen_events(self.name)) < before + self.cell.step and time.monotonic() < end:
                time.sleep(0.01)
            self.outcome.notes.append(f"after {self.site.seen_events(self.name)[before:][-1:]}")
            self._have_fault()
            if asked is not None:
                asked.result()
        self._await(f"{self.cell.operation} has come to its end", ended[self.cell.operation])

    def _have_fault(self) -> None:
        """The fault, until it is over."""
        fault = self.cell.fault
        if fault == "database":
            held = Part("hold", self.site.control, "python", "-m", "drystone.testing.cluster.within", "hold", DATABASE,
                        str(_OUTAGE))  # fmt: skip
            held.start()
            time.sleep(_OUTAGE)
            held.finish()
            return
        name = "h1" if fault.startswith("ihost") else self._choose_dpv() if fault.startswith("dpv") else fault
        self.outcome.notes.append(f"on {name}")
        if fault.endswith("-link"):
            self.site.guests[name].cut()
            time.sleep(_OUTAGE)
            self.site.guests[name].heal()
        elif fault.endswith("-kernel"):
            self._may_fail = name == "h1"
            self.site.kill_kernel(name)
            time.sleep(_OUTAGE)
            self.site.boot(name)
        else:
            self.site.parts[name].kill()
            time.sleep(_OUTAGE)
            self.site.parts[name].start()
            self.site.parts[name].await_ready()

    def _choose_dpv(self) -> str:
        """One that has to do with the volume: at odd steps of a failover the one that is copied to."""
        names = sorted({*self.site.dpvs} - self._down)
        return names[self.cell.step % len(names)]

    # The writer

    def _begin_writing(self) -> None:
        """A writer on the mounted file system, and its first acknowledgements."""
        host = self.site.host
        self.site.must(host, "mkdir", "-p", PLACE)
        if not self._is_formatted:
            self.site.must(host, "mkfs.ext4", "-q", self._device)
            self.site.must(host, "mount", self._device, PLACE)
            zeros = ("dd", "if=/dev/zero", f"of={PLACE}/{FILE}", f"bs={BLOCK}", f"count={BLOCKS}", "conv=fsync")
            self.site.must(host, *zeros)
            self._is_formatted = True
        else:
            done = host.run(("e2fsck", "-p", self._device), cwd="/", timeout=120)
            if done.exit_code > 1:
                self.outcome.wrong.append(f"e2fsck -p on h1: {done.text}")
            self.site.must(host, "mount", self._device, PLACE)
        self._runs += 1
        self._taken = 0
        words = ("python", "-m", "drystone.testing.cluster.numbered", f"{PLACE}/{FILE}", str(self._runs))
        self._writer = Part("writer", host, *words)
        self._writer.start()
        self._await_writes()

    def _await_writes(self) -> None:
        writer, wanted = self._writer, self._history.count + _WRITES
        assert writer is not None, "begun"

        def has_gone_on() -> bool:
            self._take_lines()
            if writer.has_ended and self._history.count < wanted:
                raise NotSoError(f"the writer has ended: {self._history.errors} {writer.log[-500:].decode()}")
            return self._history.count >= wanted

        await_that("the writer goes on", has_gone_on, pause=0.05)

    def _take_lines(self) -> None:
        if self._writer is not None:
            lines = self._writer.lines()
            self._history.take(self._runs, lines[self._taken :])
            self._taken = len(lines)

    def _stop_writing(self) -> None:
        assert self._writer is not None, "begun"
        self._writer.finish()
        self._take_lines()
        self._writer = None
        if self._history.errors:
            self.outcome.wrong.append(f"the writer met {self._history.errors}")

    # Afterwards

    def _settle(self) -> None:
        """Attached, whole, written to, compared with the record; then detached."""
        if self._writer is not None and self._may_fail:
            self._take_lines()
            self._history.errors.clear()
            self._writer = None
        if self.site.dlv(self.name)["status"] == "detached":
            self._attach()
        self._await("it is attached and whole", is_whole)
        if self._writer is None:
            self._begin_writing()
        else:
            self._await_writes()
        dlv = self._await("it is whole", is_whole)
        for name in sorted(self._down & {leg["dpv"] for leg in dlv["legs"]}):
            self.outcome.wrong.append(f"a leg is on {name}, which is off")
        wrong: list[list[str]] = []

        def is_as_recorded() -> bool:
            wrong[:] = [self.site.call("c1", "differences", f"sqlite:///{DATABASE}", str(self.site.folder), self.name)]
            return not wrong[0]

        try:
            await_that("kernels are as recorded", is_as_recorded, patience=60)
        except NotSoError:
            self.outcome.wrong += wrong[0]
        self._stop_writing()
        self.site.must(self.site.host, "umount", PLACE)
        self._detach()
        self._await("it is detached", is_status("detached"))

    def _check_all(self) -> None:
        """Each leg of a set alone."""
        document = self.site.dlv(self.name)
        dlv = msgspec.convert(document, Dlv)
        places = {leg: self.site.folder / f"{leg}.leg" for leg, _ in leg_names(document)}
        for leg, dpv in leg_names(document):
            self.site.call(dpv, "copy_leg", leg, str(places[leg]))
        thin_ids = {each.name: each.thin_id for each in dlv.snapshots}
        for place in range(dlv.mirrors):
            metadata = join_legs(dlv, lambda leg: places[leg].read_bytes(), place, "metadata")
            data = join_legs(dlv, lambda leg: places[leg].read_bytes(), place, "data")
            self.outcome.wrong += [
                f"legs {place}: {each}" for each in find_unsound(metadata, self.site.folder / "image")
            ]
            volume = thin_volume(metadata, data, 0, dlv.size)
            content, wrong = read_file(volume, self.site.folder / "image", clean=True)
            self._judge(f"legs {place}", content, wrong, self._history)
            for name, words in self._snapshots.items():
                volume = thin_volume(metadata, data, thin_ids[name], dlv.size)
                content, wrong = read_file(volume, self.site.folder / "image", clean=False)
                self._judge(f"legs {place}, snapshot {name}", content, wrong, History(words))
        for path in places.values():
            path.unlink()

    def _judge(self, what: str, content: Any, wrong: Sequence[str], history: History) -> None:
        self.outcome.wrong += [f"{what}: {each}" for each in wrong]
        if len(content) != BLOCKS * BLOCK:
            self.outcome.wrong.append(f"{what}: the file has {len(content)} bytes")
        else:
            self.outcome.wrong += history.check(content, what)[:10]

    def _remove(self) -> None:
        """Deleted, and nothing is left; who was off is back."""
        for name in sorted(self._down):
            self.site.boot(name)
        self.site.tell("DELETE", f"/dlvs/{self.name}")
        await_that("it is gone", lambda: self.site.dlv(self.name) is None)
        await_that("all hosts are available", self.site.all_available)
        try:
            await_that("nothing is left", lambda: not self.site.left(), pause=1, patience=90)
        except NotSoError:
            self.outcome.wrong += self.site.left()


def is_status(status: str) -> Callable[[Any], bool]:
    """Whether a dlv's record has that status."""
    return lambda dlv: dlv is not None and dlv["status"] == status


def is_whole(dlv: Any) -> bool:
    """Whether it is attached, and every leg counts."""
    return dlv is not None and dlv["status"] == "attached" and all(leg["in_sync"] for leg in dlv["legs"])


def run(folder: Path, guests: Sequence[Guest], cells: Sequence[Cell], tell: Callable[[str], None]) -> list[Outcome]:
    """Cells one after the other on guests that are up (control, ihost, dpvs), until one has failed.

    :param folder: of this machine, that all guests have too. :param tell: a line of what happens.
    """
    site = Site(folder, guests)
    outcomes: list[Outcome] = []
    try:
        site.start()
    except (NotSoError, DrystoneError):
        tell(site.logs())
        raise
    tell("the cluster is up")
    for number, cell in enumerate(cells):
        outcome = Trial(site, cell, number).go()
        outcomes.append(outcome)
        tell(str(outcome))
        if outcome.wrong:  # what follows would be of a site that is not as it should be
            tell(site.logs())
            break
    return outcomes
