"""No acknowledged write is lost: the transitions of in-sync sets against a model of dm-mirror, in any order of events.

The model writes and reads as Linux 6.1's dm-raid1.c does: a region that is in sync is written to all legs, one that is
not to the first leg alone; with `handle_errors` a write that a leg refused is held until the table is swapped; a mirror
with one leg and an absent one notes what that one misses. Crashes leave writes on some of the legs. Reports of finished
copies are delivered late, or after what they say has ceased to be so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drystone.base.errors import MismatchError, RefusedError
from drystone.cluster.model import in_sync
from drystone.cluster.model.dlv import Dlv, Group, Leg, MirrorKey
from drystone.cluster.model.in_sync import Assembly

REGIONS = 3
KEY = MirrorKey(0, 0)
HOST = "host"
GARBAGE = -1

regions = st.integers(0, REGIONS - 1)
numbers = st.integers(0, 2)


@dataclass
class Log:
    """Which regions are in sync."""

    clean: list[bool] = field(default_factory=lambda: [False] * REGIONS)


@dataclass
class Table:
    """A mirror as it is loaded. `logs`: of the sources, and of the copy where that has one of its own."""

    assembly: Assembly
    log: Log
    copy: Log
    deep: bool
    held: list[tuple[int, int]] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)

    @property
    def sources(self) -> tuple[str, ...]:
        return self.assembly.sources

    @property
    def targets(self) -> tuple[str, ...]:
        return self.assembly.targets

    @property
    def decides(self) -> Log:
        """The log that says what is to be copied."""
        return self.copy if self.nested else self.log

    @property
    def nested(self) -> bool:
        return self.deep and bool(self.targets)

    @property
    def alone(self) -> bool:
        return len(self.sources) == 1 and not self.targets

    def legs_written(self, region: int) -> tuple[str, ...]:
        if self.alone:
            return self.sources
        if self.nested:
            return (*self.sources, *(self.targets if self.copy.clean[region] else ()))
        whole = (*self.sources, *self.targets)
        return whole if self.log.clean[region] else whole[:1]


class Cluster(RuleBasedStateMachine):
    """One mirror of a volume, its record, its legs and the kernel of its ihost."""

    dlv: Dlv
    table: Table | None

    @initialize(mirrors=st.sampled_from([1, 2, 3]))
    def begin(self, mirrors: int) -> None:
        legs = tuple(
            Leg(id=f"leg{place}", group=0, stripe=0, place=place, dpv=f"d{place}", extents=1)
            for place in range(mirrors)
        )
        group = Group(number=0, role="metadata", stripes=1, extents=1)
        self.dlv = Dlv(
            id="id", name="db", dvg="g", size=4096, initial_size=1, mirrors=mirrors, stripes=1, chunk=128, block=128,
            groups=(group,), legs=legs,
        )  # fmt: skip
        self.content = {leg.id: [GARBAGE] * REGIONS for leg in legs}
        self.acknowledged = [GARBAGE] * REGIONS
        self.unreachable: set[str] = set()
        self.table = None
        self.log = Log()
        self.reports: list[tuple[int, tuple[str, ...]]] = []
        self.recent: set[int] = set()
        """Regions that were written by the present table."""
        self.version = 0
        self.made = mirrors
        self.copies = [self.dlv]
        """Of the record, since its sets are what they are."""

    # What the record says

    def legs(self) -> list[str]:
        return [leg.id for leg in self.dlv.legs_of(KEY)]

    def reachable(self) -> set[str]:
        return set(self.legs()) - self.unreachable

    def attached(self) -> bool:
        return self.table is not None

    def swap(self, assembly: Assembly, bits: str) -> None:
        """Load a table; writes that were held are done anew by it."""
        held = self.table.held if self.table else []
        decided = Log()
        deep = self.dlv.is_deep(KEY)
        nested = deep and bool(assembly.targets)
        if nested and bits == "kept":
            assert self.table is not None
            assert self.table.nested, "the upper device stays as it is, with its log"
            decided = self.table.copy
        elif bits == "kept":
            decided = self.log
            # Writes were in flight: their regions are unclean on the log.
            for region in self.recent:
                decided.clean[region] = False
        else:
            decided.clean = [bits in {"nosync", "clean"}] * REGIONS
        if not nested:
            self.log = decided
        table = Table(assembly, self.log, decided if nested else Log(), deep)
        if nested and bits == "kept":
            table.dead = {leg for leg in (self.table.dead if self.table else ()) if leg in assembly.targets}
        self.table = table
        self.recent.clear()
        for region, version in held:
            self.put(table, region, version)

    def put(self, table: Table, region: int, version: int) -> None:
        """One write, as the kernel does it."""
        self.recent.add(region)
        # Once a leg has failed, writes to regions that are not in sync are held too (do_writes: leg_failure).
        failed = bool(table.dead) and not table.alone
        for leg in table.legs_written(region):
            if leg in self.unreachable or leg in table.dead:
                table.dead.add(leg)
                failed = True
            else:
                self.content[leg][region] = version
        if table.alone and self.dlv.mirrors > 1:
            table.log.clean[region] = False
        if failed:
            if not table.nested or any(leg in table.dead for leg in table.targets):
                table.decides.clean[region] = False
            table.held.append((region, version))
        else:
            self.acknowledged[region] = max(self.acknowledged[region], version)

    # Events

    @precondition(lambda self: len(self.unreachable & set(self.legs())) < self.dlv.mirrors - 1)
    @rule(number=numbers)
    def lose(self, number: int) -> None:
        legs = self.legs()
        self.unreachable.add(legs[number % len(legs)])

    @rule()
    def lose_everything(self) -> None:
        self.unreachable.update(self.legs())

    @rule()
    def all_come_back(self) -> None:
        self.unreachable.clear()

    @rule(number=numbers)
    def come_back(self, number: int) -> None:
        legs = self.legs()
        self.unreachable.discard(legs[number % len(legs)])

    @precondition(lambda self: self.dlv.attachment is None)
    @rule()
    def attach(self) -> None:
        try:
            self.dlv, (assembly,) = in_sync.attach(self.dlv, HOST, self.reachable())
        except RefusedError:
            assert not [leg for leg in self.dlv.legs if leg.in_sync and leg.id in self.reachable()]
            return
        self.table = None
        self.swap(assembly, assembly.bits)

    @precondition(attached)
    @rule(region=regions)
    def write(self, region: int) -> None:
        assert self.table is not None
        self.version += 1
        self.put(self.table, region, self.version)

    @precondition(attached)
    @rule(region=regions)
    def copy(self, region: int) -> None:
        assert self.table is not None
        whole = {*self.table.sources, *self.table.targets}
        if self.table.targets and not self.table.dead and not whole & self.unreachable:
            for leg in self.table.targets:
                self.content[leg][region] = self.content[self.table.sources[0]][region]
            self.table.decides.clean[region] = True

    @precondition(attached)
    @rule()
    def report_copied(self) -> None:
        assert self.table is not None
        if self.table.targets and all(self.table.decides.clean) and not self.table.dead:
            self.reports.append((self.dlv.epoch, self.table.targets))

    @precondition(lambda self: self.reports)
    @rule(number=numbers)
    def deliver(self, number: int) -> None:
        epoch, targets = self.reports.pop(number % len(self.reports))
        try:
            self.dlv, _ = in_sync.grow(self.dlv, HOST, epoch, targets)
        except MismatchError:
            assert self.dlv.epoch != epoch or self.dlv.attachment is None
            return
        if self.table is not None and not self.table.dead and number:
            # The agent takes the table that it is answered with, where that is another one.
            (assembly,) = in_sync.standing(self.dlv)
            self.tell_again(assembly)

    @precondition(lambda self: self.table is not None and not self.table.held and not self.table.dead)
    @rule()
    def be_told_again(self) -> None:
        """What is recorded, by somebody who does not know whether it was told before."""
        (assembly,) = in_sync.standing(self.dlv)
        self.tell_again(assembly)

    def tell_again(self, assembly: Assembly) -> None:
        """A mirror that stands so stays as it is, with its log."""
        assert self.table is not None
        is_same = (assembly.sources, assembly.targets) == (self.table.sources, self.table.targets)
        self.swap(assembly, "kept" if is_same and assembly.bits == "dirty" else assembly.bits)

    @precondition(attached)
    @rule()
    def drop_the_lost(self) -> None:
        """What the agent does when the kernel says that legs failed."""
        assert self.table is not None
        lost = self.table.dead | ({*self.table.sources, *self.table.targets} & self.unreachable)
        if not lost:
            return
        was_whole = all(self.log.clean) and not self.table.nested
        try:
            self.dlv, (assembly,) = in_sync.shrink(self.dlv, HOST, self.dlv.epoch, lost)
        except RefusedError:
            return
        after = {leg.id for leg in self.dlv.legs if leg.in_sync}
        assert after or not was_whole
        self.swap(assembly, assembly.bits)

    @precondition(attached)
    @rule(number=numbers, is_heard=st.booleans())
    def readmit(self, number: int, is_heard: bool) -> None:
        """Also by somebody who ends before the ihost was told, so that it is told what is recorded."""
        assert self.table is not None
        legs = self.legs()
        leg = legs[number % len(legs)]
        member = next(each for each in self.dlv.legs if each.id == leg)
        settled = not self.table.held and not self.table.dead and not self.table.targets
        if member.in_sync or leg in self.unreachable or not settled:
            return
        self.dlv, (assembly,) = in_sync.readmit(self.dlv, HOST, self.dlv.epoch, leg, noted=member.noted)
        if not is_heard:
            (assembly,) = in_sync.standing(self.dlv)
        self.swap(assembly, assembly.bits)

    @rule(number=numbers)
    def replace(self, number: int) -> None:
        legs = self.legs()
        old = next(leg for leg in self.dlv.legs if leg.id == legs[number % len(legs)])
        in_use = self.table is not None and old.id in {*self.table.sources, *self.table.targets}
        is_succeeded = any(leg.instead_of == old.id for leg in self.dlv.legs)
        if old.in_sync or in_use or is_succeeded:
            return
        self.dlv, _ = in_sync.exchange(self.dlv, old.id, self.make_leg(old.place))

    def make_leg(self, place: int, instead_of: str = "") -> Leg:
        new = Leg(
            id=f"leg{self.made}", group=0, stripe=0, place=place, dpv=f"d{self.made}", extents=1, instead_of=instead_of
        )
        self.made += 1
        self.content[new.id] = [GARBAGE] * REGIONS
        return new

    @precondition(lambda self: not self.dlv.groups[0].blank)
    @rule(number=numbers)
    def add_a_successor(self, number: int) -> None:
        legs = self.dlv.legs_of(KEY)
        if not all(leg.in_sync for leg in legs) or any(leg.instead_of for leg in legs):
            return
        place = next(each for each in range(9) if each not in {leg.place for leg in legs})
        new = self.make_leg(place, legs[number % len(legs)].id)
        self.dlv, _ = in_sync.add_successor(self.dlv, new)

    @precondition(lambda self: bool(in_sync.find_succeeded(self.dlv)))
    @rule()
    def give_up_who_has_a_successor(self) -> None:
        (old,) = in_sync.find_succeeded(self.dlv)
        before = sum(leg.in_sync for leg in self.dlv.legs)
        if self.dlv.attachment is not None and old.in_sync:
            if self.table is None or self.table.held or self.table.dead:
                return
            self.dlv, (assembly,) = in_sync.shrink(self.dlv, HOST, self.dlv.epoch, [old.id])
            self.swap(assembly, assembly.bits)
        else:
            self.dlv, _ = in_sync.retire(self.dlv, old.id)
        assert sum(leg.in_sync for leg in self.dlv.legs) >= min(before, self.dlv.mirrors)

    @rule(number=numbers)
    def replace_disk(self, number: int) -> None:
        """The dpv of a leg says that it has it no more; what is there of the last one of a set is left alone."""
        legs = self.legs()
        leg = legs[number % len(legs)]
        after, assemblies = in_sync.remake(self.dlv, [leg])
        if after is self.dlv:
            return
        self.dlv = after
        self.content[leg] = [GARBAGE] * REGIONS
        self.unreachable.add(leg)
        if self.table is not None:
            for each in assemblies:
                self.swap(each, each.bits)

    @precondition(lambda self: self.table is not None and not self.table.held and not self.table.dead)
    @rule()
    def detach(self) -> None:
        self.dlv, _ = in_sync.detach(self.dlv, HOST, self.dlv.epoch)
        self.table = None

    @precondition(attached)
    @rule(region=regions, number=numbers)
    def crash(self, region: int, number: int) -> None:
        """The ihost's kernel dies within a write, which is on some of its legs and on others not."""
        assert self.table is not None
        self.version += 1
        legs = [leg for leg in self.table.legs_written(region) if leg not in self.table.dead | self.unreachable]
        if legs:
            self.content[legs[number % len(legs)]][region] = self.version
        self.table = None

    @precondition(lambda self: self.dlv.attachment is not None)
    @rule()
    def detach_fenced(self) -> None:
        """By force. Where the ihost was not shut out it goes on writing, and nothing of that is acknowledged."""
        shut = self.reachable()
        try:
            self.dlv, _ = in_sync.detach_fenced(self.dlv, shut)
        except RefusedError:
            return
        self.table = None
        assert self.dlv.set_epoch == self.dlv.epoch, "what is alike by an old copy may not be"
        for leg in set(self.legs()) - shut:
            self.content[leg] = [GARBAGE] * REGIONS

    # What holds

    @invariant()
    def who_is_in_the_set_has_every_acknowledged_write(self) -> None:
        members = [leg.id for leg in self.dlv.legs if leg.in_sync]
        assert members
        for leg in members:
            assert all(
                has >= must for has, must in zip(self.content[leg], self.acknowledged, strict=True)
            ), (leg, self.content, self.acknowledged)  # fmt: skip

    @invariant()
    def what_an_old_copy_says_of_the_same_sets_holds_still(self) -> None:
        """Agents take what it says for as new as the record, when requests have had it count on."""
        if self.dlv.set_epoch != self.copies[-1].set_epoch:
            self.copies.clear()
        self.copies.append(self.dlv)
        members = {leg.id for leg in self.dlv.legs if leg.in_sync}
        assert self.dlv.set_epoch <= self.dlv.epoch
        for old in self.copies:
            assert old.groups[0].blank == self.dlv.groups[0].blank
            assert old.groups[0].blank or members.issuperset(leg.id for leg in old.legs if leg.in_sync)
            assert self.dlv.attachment in {old.attachment, None}
            assert self.dlv.clean or not old.clean

    @invariant()
    def what_is_read_does_not_depend_on_the_leg_it_is_read_from(self) -> None:
        """The kernel reads a region that is in sync from any leg; what is held is not there yet."""
        if self.table is None or self.table.held:
            return
        for region in range(REGIONS):
            legs = [leg for leg in self.table.legs_written(region) if leg not in self.table.dead]
            found = {self.content[leg][region] for leg in legs}
            assert len(found) == 1, (region, found)
            assert found.pop() >= self.acknowledged[region]


TestCluster = Cluster.TestCase
TestCluster.settings = settings(max_examples=500, stateful_step_count=40, deadline=None)
