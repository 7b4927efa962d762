"""Crashes while something is made that is used later: regions by format, further ones of a group, a preparation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from drystone.base.errors import DrystoneError
from drystone.dvm.replication import replicate
from drystone.dvm.replication.views import EVERYTHING, Checks, look
from drystone.testing.crash_states import (
    Adversary,
    Choices,
    Crash,
    CrashDevice,
    Disk,
    World,
    copy_world,
    count_states,
    open_world,
    power_off,
    try_all,
)
from drystone.testing.region_hunt import Tally
from drystone.testing.region_scenarios import (
    GROUP,
    KEEP,
    LATER,
    NEW,
    OLD,
    Counterexample,
    make_world,
    three_versions,
    update,
)

SIZES = (18, 20)


@dataclass(frozen=True, slots=True)
class Birth:
    """How regions are made, and what must then be.

    :ivar begin: the world before. :ivar make: makes them; may be repeated after a crash.
    :ivar data: what they then hold. :ivar finish: what must succeed first, once it was made.
    """

    name: str
    begin: Callable[[], World]
    make: Callable[[list[CrashDevice], Checks], object]
    data: bytes
    finish: Callable[[list[CrashDevice], Checks], object] | None = None


@dataclass(slots=True)
class BirthHunt:
    """Follows a birth into every state that a crash leaves of it. The ivars are those of `region_hunt.Hunt`."""

    birth: Birth
    checks: Checks = EVERYTHING
    dropped: str = ""
    sites: set[str] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)

    def run(self) -> Tally:
        """Look at everything.

        :raises Counterexample: a promise is broken.
        """
        start = self.birth.begin()
        try_all(lambda choices: self._do(start, choices))
        return self.tally

    def _do(self, start: World, choices: Choices) -> None:
        world = copy_world(start)
        adversary = Adversary(choices, crashes=True, dropped=self.dropped, sites=self.sites)
        try:
            self.birth.make(open_world(world, adversary), self.checks)
            is_done = True
        except Crash:
            is_done = False
        after = power_off(world)
        self.tally.crashes += 1
        self.tally.worlds += 1
        self.tally.states += count_states(after)
        try_all(lambda choices: self._look(copy_world(after), choices, is_done=is_done))

    def _look(self, world: World, choices: Choices, *, is_done: bool) -> None:
        """It is done, or each region is as before or complete; repeated, it succeeds."""
        devices = open_world(world, Adversary(choices, dropped=self.dropped))
        self.tally.endings += 1
        if not is_done:
            if self.birth.finish is None:
                self._look_at_each(devices)
            self.birth.make(devices, self.checks)
        try:
            if self.birth.finish is not None:
                self.birth.finish(devices, self.checks)
            found = replicate.read(devices, checks=self.checks).data
        except DrystoneError as error:
            raise Counterexample(f"the new regions cannot be read: {error}") from error
        if found != self.birth.data:
            raise Counterexample("the new regions hold something else")
        update(devices, LATER, self.checks)
        self.tally.new += 1

    def _look_at_each(self, devices: list[CrashDevice]) -> None:
        for device in devices:
            view = look(device, self.checks)
            if view.slot is not None and view.error is None:
                try:
                    found = replicate.read([device], checks=self.checks).data
                except DrystoneError as error:
                    raise Counterexample(f"a region that was made cannot be read: {error}") from error
                if found not in (self.birth.data, OLD):
                    raise Counterexample("a region that was made holds something else")


def _make_blank() -> World:
    return [Disk(size) for size in SIZES]


def _make_used() -> World:
    """Regions without a format, full of other bytes."""
    return [Disk(size, dict.fromkeys(range(size), b"\xa5" * 4096)) for size in SIZES]


def _make_group_and_blank() -> World:
    world = make_world(SIZES[:1], three_versions)
    return [*world, Disk(SIZES[1])]


def _format(devices: list[CrashDevice], checks: Checks) -> None:
    replicate.format_regions(devices, group=GROUP, keep=KEEP, checks=checks)


def _add(devices: list[CrashDevice], checks: Checks) -> None:
    """Add the second region to the group of the first, unless it is there."""
    if look(devices[1], checks).zero is None:
        replicate.add_regions(devices[:1], devices[1:], checks=checks)


def _make_group() -> World:
    return make_world(SIZES, three_versions)


def _prepare(devices: list[CrashDevice], checks: Checks) -> None:
    replicate.recover(devices, checks=checks)
    replicate.prepare(devices, NEW, checks=checks)


def _commit(devices: list[CrashDevice], checks: Checks) -> None:
    replicate.commit(devices, checks=checks)


BIRTHS = (
    Birth("format, two empty regions", _make_blank, _format, b""),
    Birth("format, two regions full of other bytes", _make_used, _format, b""),
    Birth("format a further region from another", _make_group_and_blank, _add, OLD),
    Birth("a preparation, to be committed later", _make_group, _prepare, NEW, _commit),
)
