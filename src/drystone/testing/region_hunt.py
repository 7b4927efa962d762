"""Everything that a crash can leave of replicated regions, and what `dvm.replicate` makes of it.

A scenario is a world and something that is done to it. An adversary (`crash_states`) cuts it short everywhere: power
off, process killed, a call that fails with EIO. Each world that is left is looked at: with all regions, with each one
lost, with each one read-only; recovery is cut short everywhere in turn, until no new world comes up. In all of them:

* what is read is the old or the new data, and the new one if success was returned;
* then, and after a recovery that returned, they are read without any recovery, also after another power failure;
* what one region alone, or a recovery without one, said stays so when all are there again, or they are a fork: refused;
* every version that the history lists is read, and as many are kept as was promised;
* status calls no region damaged;
* the regions take another update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from drystone.base.errors import DamagedError, DrystoneError, MismatchError
from drystone.dvm.replication import replicate
from drystone.dvm.replication.views import EVERYTHING, Checks
from drystone.formats.region.pages import Pages
from drystone.formats.region.slots import parse_page_zero
from drystone.formats.region.trees import reach
from drystone.testing.crash_states import (
    PAGE,
    SECTOR,
    Adversary,
    Choices,
    Crash,
    CrashDevice,
    Disk,
    VeiledError,
    World,
    copy_world,
    count_states,
    digest_world,
    open_world,
    power_off,
    try_all,
)
from drystone.testing.region_scenarios import KEEP, LATER, Counterexample, Deed, Scenario, make_world, update


@dataclass(slots=True)
class Tally:
    """What was tried.

    :ivar crashes: points at which something was cut short. :ivar states: of the disks, that they stand for.
    :ivar worlds: different worlds among all of them.
    :ivar endings: how often one was followed to an end. :ivar old, new, forks, unreadable: what the ends were.
    """

    crashes: int = 0
    worlds: int = 0
    states: int = 0
    endings: int = 0
    old: int = 0
    new: int = 0
    forks: int = 0
    unreadable: int = 0

    def add(self, other: Tally) -> None:
        """Count what another tally has, too."""
        for name in ("crashes", "worlds", "states", "endings", "old", "new", "forks", "unreadable"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_row(self) -> tuple[str, ...]:
        """The numbers as cells of a table."""
        counts = (self.crashes, self.states, self.worlds, self.endings, self.old, self.new, self.forks, self.unreadable)
        return tuple(f"{count:,}" for count in counts)


@dataclass(frozen=True, slots=True)
class Left:
    """A world that was left, and what must be read of it (None: any of what is allowed).

    :ivar trail: how it came to it. :ivar is_split: a recovery without one region was cut short, so they may be a fork.
    """

    world: World
    must: bytes | None
    trail: tuple[str, ...] = ()
    is_split: bool = False


@dataclass(slots=True)
class Hunt:
    """Follows a scenario into every state.

    :ivar checks: those that are made. :ivar dropped: the flush that is left out. :ivar sites: flushes that were seen.
    """

    scenario: Scenario
    checks: Checks = EVERYTHING
    dropped: str = ""
    has_veils: bool = True
    sites: set[str] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)
    _waiting: list[Left] = field(default_factory=list)
    _known: set[tuple[bytes, bytes | None, bool]] = field(default_factory=set)

    def run(self) -> Tally:
        """Look at everything.

        :raises Counterexample: a promise is broken.
        """
        try:
            return self._run()
        except VeiledError:
            return Hunt(self.scenario, self.checks, self.dropped, has_veils=False, sites=self.sites).run()

    def _run(self) -> Tally:
        start = make_world(self.scenario.sizes, self.scenario.prepare)
        for faults in (0, 1):
            try_all(partial(self._do, start, faults))
        while self._waiting:
            left = self._waiting.pop()
            try:
                try_all(partial(self._interrupt_recovery, left))
                for variant in self._variants():
                    try_all(partial(variant, left))
            except Counterexample as found:
                found.add_note(" | ".join(left.trail))
                raise
        return self.tally

    # ------------------------------------------------------------------ what is left

    def _do(self, start: World, faults: int, choices: Choices) -> None:
        """The deed, cut short at some point."""
        world = copy_world(start)
        devices = self._open(world, choices, crashes=True, kills=not faults, faults=faults)
        try:
            self.scenario.deed(devices, self.checks)
        except Crash as crash:
            if crash.is_kill:
                self._go_on(world, choices, crash)
            else:
                self._leave(Left(world, None, (str(crash),)))
        except DrystoneError as error:
            if not faults:
                raise Counterexample(f"nothing went wrong, and it failed: {error}") from error
            must = self.scenario.old if error.facts.get("is_clean") else None
            self._leave(Left(world, must, (f"failed: {error}",)))
        else:
            self._leave(Left(world, self.scenario.success, ("done",)))

    def _go_on(self, world: World, choices: Choices, kill: Crash) -> None:
        """The process was killed: what it wrote is seen, not durable. Another one does something, and is cut short."""
        deeds: list[tuple[Deed, Callable[[], bytes | None]]] = [
            (lambda devices, checks: replicate.recover(devices, checks=checks), lambda: None),
            (lambda devices, checks: replicate.commit(devices, checks=checks), lambda: self.scenario.coming),
            (lambda devices, checks: replicate.abort(devices, checks=checks), lambda: None),
            (lambda devices, checks: replicate.prepare(devices, LATER, checks=checks), lambda: None),
        ]
        number = choices.pick(len(deeds))
        deed, must = deeds[number]
        devices = self._open(world, choices, crashes=True)
        said: bytes | None = None
        how = "done"
        try:
            deed(devices, self.checks)
            said = must()
        except Crash as crash:
            how = str(crash)
        except DrystoneError as error:
            how = f"failed: {error}"
        self._leave(Left(world, said, (str(kill), f"deed {number}: {how}")))

    def _interrupt_recovery(self, left: Left, choices: Choices) -> None:
        """A recovery of all regions, or of all but one, is cut short or has a call fail."""
        world = copy_world(left.world)
        lost = choices.pick(len(world) + 1) if len(world) > 1 else len(world)
        there = [number for number in range(len(world)) if number != lost]
        faults = choices.pick(2)
        is_split = left.is_split or lost < len(world)
        devices = self._open(world, choices, numbers=there, crashes=not faults, faults=faults)
        try:
            replicate.recover(devices, checks=self.checks)
        except Crash as crash:
            self._leave(Left(world, left.must, (*left.trail, f"recovery, lost {lost}: {crash}"), is_split))
        except DrystoneError as error:
            if devices[0].adversary.faults == faults and not (left.is_split and isinstance(error, MismatchError)):
                raise Counterexample(f"nothing went wrong, and recovery failed: {error}") from error
            self._leave(Left(world, left.must, (*left.trail, f"recovery, lost {lost}: {error}"), is_split))
        else:
            if lost == len(world):
                said = self._read(world, choices, there, "after a recovery")
                self._leave(Left(world, said, (*left.trail, "recovery: done")))

    def _leave(self, left: Left) -> None:
        """A world is left, in which the power goes off. What everybody reads is chosen at once: page 0."""
        after = power_off(left.world, torn_within=self.scenario.torn_within)
        self.tally.crashes += 1
        self.tally.states += count_states(after)
        try_all(partial(self._wait, replace(left, world=after)))

    def _wait(self, left: Left, choices: Choices) -> None:
        world = copy_world(left.world)
        for disk in world:
            disk.read(0, choices)
            if self.has_veils:
                disk.veil(_list_unreached(disk))
        key = digest_world(world), left.must, left.is_split
        if key not in self._known:
            self._known.add(key)
            self.tally.worlds += 1
            self._waiting.append(replace(left, world=world))

    # ------------------------------------------------------------------ what is made of it

    def _variants(self) -> Iterator[Callable[[Left, Choices], None]]:
        yield self._with_all
        count = len(self.scenario.sizes)
        if count > 1:
            for number in range(count):
                yield partial(self._without, number)
                yield partial(self._read_only, number)

    def _with_all(self, left: Left, choices: Choices) -> None:
        """All regions are there."""
        world = copy_world(left.world)
        every = list(range(len(world)))
        self._check_status(world, choices)
        said = self._read_each(world, choices)
        try:
            plain = self._data(world, choices, every)
        except DrystoneError as error:
            if left.must is not None:
                raise Counterexample(
                    f"success was returned, and it cannot be read without recovery: {error}"
                ) from error
        else:
            said.append(plain)
        if not self._recover(world, choices, every, left):
            return
        found = self._read(world, choices, every, "after recovery")
        for each in said:
            if each != found:
                raise Counterexample("what was read before is not what recovery made")
        self._judge(found, left)
        self._check_history(world, choices, every)
        self._check_use(world, choices, every)

    def _without(self, lost: int, left: Left, choices: Choices) -> None:
        """One region is lost; then it comes back."""
        world = copy_world(left.world)
        rest = [number for number in range(len(world)) if number != lost]
        if not self._recover(world, choices, rest, left):
            return
        found = self._read(world, choices, rest, "without one region")
        self._judge(found, left)
        self._check_history(world, choices, rest)
        self._come_back(world, choices, found)

    def _read_only(self, number: int, left: Left, choices: Choices) -> None:
        """One region cannot be written; it is left out when recovery cannot go on with it; then it can be."""
        world = copy_world(left.world)
        every = list(range(len(world)))
        devices = self._open(world, choices, read_only=frozenset({number}))
        numbers = every
        try:
            replicate.recover(devices, checks=self.checks)
        except DrystoneError:
            numbers = [each for each in every if each != number]
            if not self._recover(world, choices, numbers, left):
                return
        found = self._read(world, choices, numbers, "with a read-only region")
        self._judge(found, left)
        self._come_back(world, choices, found)

    def _come_back(self, world: World, choices: Choices, found: bytes) -> None:
        """All regions are there again: the same is read, or it is a fork, and refused."""
        every = list(range(len(world)))
        try:
            replicate.recover(self._open(world, choices), checks=self.checks)
        except MismatchError:
            self.tally.forks += 1
            return
        if self._read(world, choices, every, "with the region that came back") != found:
            if self.scenario.has_stale:
                return
            raise Counterexample("with the region that came back something else is read than without it")

    # ------------------------------------------------------------------ pieces

    def _open(
        self,
        world: World,
        choices: Choices,
        *,
        numbers: Sequence[int] | None = None,
        crashes: bool = False,
        kills: bool = False,
        faults: int = 0,
        read_only: frozenset[int] = frozenset(),
    ) -> list[CrashDevice]:
        adversary = Adversary(
            choices,
            crashes,
            kills,
            faults,
            dropped=self.dropped,
            is_cached=self.scenario.is_cached,
            read_only=read_only,
            sites=self.sites,
        )
        return open_world(world, adversary, numbers)

    def _data(self, world: World, choices: Choices, numbers: Sequence[int]) -> bytes:
        return replicate.read(self._open(world, choices, numbers=numbers), checks=self.checks).data

    def _read(self, world: World, choices: Choices, numbers: Sequence[int], when: str) -> bytes:
        """:raises Counterexample: it cannot be read."""
        try:
            return self._data(world, choices, numbers)
        except DrystoneError as error:
            self.tally.unreadable += 1
            raise Counterexample(f"{when} it cannot be read: {error}") from error

    def _read_each(self, world: World, choices: Choices) -> list[bytes]:
        """What each region says alone, where it says anything."""
        said: list[bytes] = []
        if not self.scenario.has_stale and len(world) > 1:
            for number in range(len(world)):
                try:
                    said.append(self._data(world, choices, [number]))
                except DrystoneError:
                    continue
        return said

    def _recover(self, world: World, choices: Choices, numbers: Sequence[int], left: Left) -> bool:
        """Whether it came together; else it is a fork, and each region alone is read.

        :raises Counterexample: it fails in another way.
        """
        try:
            replicate.recover(self._open(world, choices, numbers=numbers), checks=self.checks)
            return True
        except DrystoneError as error:
            if isinstance(error, MismatchError) and left.is_split and left.must is None:
                self.tally.forks += 1
                for number in numbers:
                    if not self._recover(world, choices, [number], replace(left, is_split=False)):
                        raise
                    self._judge(self._read(world, choices, [number], "alone"), left)
                return False
            self.tally.unreadable += 1
            raise Counterexample(f"it cannot be recovered: {error}") from error

    def _judge(self, found: bytes, left: Left) -> None:
        self.tally.endings += 1
        if left.must is not None and found != left.must:
            raise Counterexample("success was returned, and something else is read")
        if found not in self.scenario.allowed:
            raise Counterexample("what is read is neither the old nor the new data")
        if found == self.scenario.old:
            self.tally.old += 1
        else:
            self.tally.new += 1

    def _check_status(self, world: World, choices: Choices) -> None:
        """No region is called damaged, so that nobody makes it anew; but for a slot that no disk tears."""
        for each in replicate.status(self._open(world, choices), checks=self.checks).regions:
            if each.state not in {"clean", "prepared"} and not self.scenario.torn_within:
                raise Counterexample(f"a crash left a region {each.state}: {each.problem}")

    def _check_history(self, world: World, choices: Choices, numbers: Sequence[int]) -> None:
        """Every listed version is read, and they are as many as promised."""
        devices = self._open(world, choices, numbers=numbers)
        listed = replicate.history(devices, checks=self.checks)
        if len(listed) < min(KEEP, listed[0].sequence + 1):
            raise Counterexample(f"only {len(listed)} versions are kept")
        for each in listed:
            try:
                found = replicate.read(devices, each.sequence, checks=self.checks)
            except DrystoneError as error:
                raise Counterexample(f"version {each.sequence} cannot be read: {error}") from error
            if len(found.data) != each.length:
                raise Counterexample(f"version {each.sequence} has another length")

    def _check_use(self, world: World, choices: Choices, numbers: Sequence[int]) -> None:
        """The regions take another update."""
        devices = self._open(world, choices, numbers=numbers)
        try:
            update(devices, LATER, self.checks)
        except DrystoneError as error:
            raise Counterexample(f"it takes no further update: {error}") from error
        if self._read(world, choices, numbers, "after one more update") != LATER:
            raise Counterexample("after one more update something else is read")
        self._check_history(world, choices, numbers)


def _list_unreached(disk: Disk) -> list[int]:
    """Pages that the current slot does not lead to; none where that cannot be told."""
    device = CrashDevice(0, Disk(disk.pages, disk.sure), Adversary(Choices()))
    zero = parse_page_zero(device.read(0, 1))
    if zero is None or zero.current is None or disk.pending:
        return []
    slot = zero.current
    try:
        used = reach(Pages(device, slot.group), [root for root in (slot.committed, slot.next) if root]).used
    except DamagedError:
        return []
    if any((page, number) in disk.unsure for page in used for number in range(PAGE // SECTOR)):
        return []
    return [page for page in range(disk.pages) if page not in used]
