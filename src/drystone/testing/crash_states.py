"""Disks in memory that can lose power at any point, and an adversary that tries everything they may do then.

What a disk may do: whatever was written since the last flush is there or not, each sector of 512 bytes on its own, in
any combination over all disks; of several writes to one sector any one may be there. That includes every order of
writing, every torn write, and writes that are whole.

**The reduction.** A crash does not choose one of these 2^n states. It leaves each unsure sector with its candidates,
and one is chosen when somebody first reads it: `Choices` then tries all of them. Nothing is left out: a program is a
function of what it reads, so two states that differ only in sectors that it never reads lead it the same way, write by
write, and to the same answer. And nothing is there twice: worlds are known by a digest of contents and candidates.

Two more steps make one world out of many. Between two flushes the candidates only grow, so the power need only go off
before a flush: every state that it could leave earlier is among those. (A kill leaves in sight what was written, so it
comes before writes too.) And pages that nothing should read can be veiled (`Disk.veil`): their content is forgotten,
and reading one raises `VeiledError`. While nobody does, the answers do not depend on them; when somebody does, the hunt
is repeated without veils.

The cost is the number of runs, each of which replays its choices from the start (as in model checking without stored
states). It is small where a program reads few unsure sectors, which is what a sound protocol does; `most` bounds it.
"""

from __future__ import annotations

import errno
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from blake3 import blake3

from drystone.base.errors import KernelError

PAGE = 4096
SECTOR = 512
_ZEROS = bytes(PAGE)
_TORN_AT = 160


class Crash(BaseException):  # no error: the power goes off
    """The power goes off, or (with `is_kill`) only the process ends. Nothing may catch it."""

    def __init__(self, before: str, *, is_kill: bool = False) -> None:
        super().__init__(f"{'killed' if is_kill else 'power off'} before {before}")
        self.is_kill = is_kill


class TooManyError(Exception):
    """More runs than were allowed: the reduction does not hold for this program."""


class VeiledError(BaseException):
    """A page was read whose content was forgotten: look at everything once more, without veils."""


class Choices:
    """Answers to `pick`, the same as in the run before up to one place, and the next one there."""

    def __init__(self) -> None:
        self._taken: list[tuple[int, int]] = []
        self._at = 0

    def pick(self, count: int) -> int:
        """One of 0 .. count - 1; over all runs each of them."""
        if count == 1:
            return 0
        if self._at == len(self._taken):
            self._taken.append((0, count))
        answer = self._taken[self._at][0]
        self._at += 1
        return answer

    def advance(self) -> bool:
        """Get ready for the next run; False when there is none."""
        del self._taken[self._at :]
        while self._taken:
            answer, count = self._taken.pop()
            if answer + 1 < count:
                self._taken.append((answer + 1, count))
                self._at = 0
                return True
        return False


def try_all(run: Callable[[Choices], None], *, most: int = 100_000) -> int:
    """Call `run` once for each sequence of answers; how often that was.

    :raises TooManyError: more than `most`.
    """
    choices, runs = Choices(), 0
    while True:
        run(choices)
        runs += 1
        if not choices.advance():
            return runs
        if runs >= most:
            raise TooManyError(f"more than {most} runs")


@dataclass(slots=True)
class Disk:
    """What is on a disk, and what may be.

    :ivar sure: pages by number; others are zeros.
    :ivar unsure: candidates by (page, sector of it) where a crash left it open.
    :ivar pending: by page, its contents as they were written since the last flush, oldest first. Reads show the last.
    :ivar veiled: pages whose content was forgotten.
    :ivar shown: pages that a page cache shows as they were written, though the flush failed: lost as the power goes.
    """

    pages: int
    sure: dict[int, bytes] = field(default_factory=dict)
    unsure: dict[tuple[int, int], tuple[bytes, ...]] = field(default_factory=dict)
    pending: dict[int, list[bytes]] = field(default_factory=dict)
    veiled: set[int] = field(default_factory=set)
    shown: dict[int, bytes] = field(default_factory=dict)

    def copy(self) -> Disk:
        """Another disk with the same contents."""
        pending = {page: list(images) for page, images in self.pending.items()}
        return Disk(self.pages, dict(self.sure), dict(self.unsure), pending, set(self.veiled), dict(self.shown))

    def settle(self, *, torn_within: bool = False) -> None:
        """The power goes off: what was written and not flushed is unsure now.

        :param torn_within: a sector may also end up new at first and old from byte 160 on, which disks promise not
            to do.
        """
        for page, images in self.pending.items():
            if page in self.veiled:
                continue
            before = self.sure.get(page, _ZEROS)
            for number in range(PAGE // SECTOR):
                at = number * SECTOR
                old = self.unsure.get((page, number), (before[at : at + SECTOR],))
                new = [image[at : at + SECTOR] for image in images]
                halves: list[bytes] = []
                if torn_within:
                    halves = [late[:_TORN_AT] + early[_TORN_AT:] for early in old for late in new]
                candidates = tuple(dict.fromkeys([*old, *new, *halves]))
                if len(candidates) > 1:
                    self.unsure[page, number] = candidates
        self.pending.clear()
        self.shown.clear()

    def drop(self) -> None:
        """A flush fails: what of it reached the disk is open, and a page cache goes on showing all of it."""
        shown = {**self.shown, **{page: images[-1] for page, images in self.pending.items()}}
        self.settle()
        self.shown = shown

    def read(self, page: int, choices: Choices) -> bytes:
        """A page; what is unsure of it is chosen now."""
        if page in self.pending:
            return self.pending[page][-1]
        if page in self.shown:
            return self.shown[page]
        if page in self.veiled:
            raise VeiledError
        content = self.sure.get(page, _ZEROS)
        if self.unsure:
            for number in range(PAGE // SECTOR):
                candidates = self.unsure.pop((page, number), None)
                if candidates is not None:
                    at = number * SECTOR
                    chosen = candidates[choices.pick(len(candidates))]
                    content = content[:at] + chosen + content[at + SECTOR :]
                    self.sure[page] = content
        return content

    def flush(self) -> None:
        """What was written is sure."""
        for page, images in self.pending.items():
            self.sure[page] = images[-1]
            self.shown.pop(page, None)
            self.veiled.discard(page)
            for number in range(PAGE // SECTOR):
                self.unsure.pop((page, number), None)
        self.pending.clear()

    def veil(self, pages: Iterable[int]) -> None:
        """Forget what is in these pages."""
        for page in pages:
            self.sure.pop(page, None)
            self.veiled.add(page)
        if self.unsure:
            self.unsure = {place: each for place, each in self.unsure.items() if place[0] not in self.veiled}

    def digest(self) -> bytes:
        """Equal for disks of equal contents and candidates."""
        hasher = blake3()
        for page, content in sorted(self.sure.items()):
            if content != _ZEROS:
                hasher.update(b"s%d:" % page + content)
        for (page, number), candidates in sorted(self.unsure.items()):
            hasher.update(b"u%d.%d:" % (page, number) + b"".join(sorted(candidates)))
        for page, images in sorted(self.pending.items()):
            hasher.update(b"p%d:" % page + b"".join(images))
        for page, content in sorted(self.shown.items()):
            hasher.update(b"c%d:" % page + content)
        return hasher.digest()


World = list[Disk]
"""All disks of a machine."""


def copy_world(world: World) -> World:
    """The same disks again."""
    return [disk.copy() for disk in world]


def digest_world(world: World) -> bytes:
    """Equal for worlds of equal disks."""
    return b"".join(disk.digest() for disk in world)


def count_states(world: World) -> int:
    """How many states of the disks a world stands for."""
    return math.prod(len(candidates) for disk in world for candidates in disk.unsure.values())


@dataclass(slots=True)
class Adversary:
    """What may go wrong while a program runs. What does is picked at each call.

    :ivar crashes: whether the power may go off before a write or flush, and after the last one (`power_off`).
    :ivar kills: whether the process may be killed there. :ivar faults: how many calls may fail with EIO.
    :ivar dropped: the flush that is left out, by its site (`name_site`); "": none.
    :ivar is_cached: whether there is a page cache that goes on showing what it failed to write.
    :ivar read_only: numbers of disks that refuse writes. :ivar broken: numbers of those that refuse everything.
    :ivar sites: the flushes that were seen. :ivar seen: (disk, page) that were read: only the first read of one fails.
    """

    choices: Choices
    crashes: bool = False
    kills: bool = False
    faults: int = 0
    torn_within: bool = False
    dropped: str = ""
    is_cached: bool = False
    read_only: frozenset[int] = frozenset()
    broken: frozenset[int] = frozenset()
    sites: set[str] = field(default_factory=set)
    seen: set[tuple[int, int]] = field(default_factory=set)

    def may_stop(self, call: str, *, is_flush: bool) -> None:
        """:raises Crash: now, before this call."""
        crashes = self.crashes and is_flush
        ways = [is_kill for is_kill, is_there in ((False, crashes), (True, self.kills)) if is_there]
        picked = self.choices.pick(1 + len(ways))
        if picked:
            raise Crash(call, is_kill=ways[picked - 1])

    def fails(self) -> bool:
        """Whether this call fails; the adversary has one less then."""
        if self.faults and self.choices.pick(2):
            self.faults -= 1
            return True
        return False


class CrashDevice:
    """A disk as a program sees it: pages of 4096 bytes by number (drystone.dvm.replication.regions.RegionDevice)."""

    def __init__(self, number: int, disk: Disk, adversary: Adversary) -> None:
        self.number = number
        self.disk = disk
        self.adversary = adversary

    @property
    def name(self) -> str:
        return f"disk {self.number}"

    @property
    def pages(self) -> int:
        return self.disk.pages

    @property
    def is_cached(self) -> bool:
        return self.adversary.is_cached

    def read(self, page: int, count: int) -> bytes:
        assert 0 <= page < page + count <= self.disk.pages, f"page {page} is outside {self.name}"
        self._refuse("read", self.number in self.adversary.broken)
        if (self.number, page) not in self.adversary.seen:
            self.adversary.seen.add((self.number, page))
            self._refuse("read", self.adversary.fails())
        return b"".join(self.disk.read(at, self.adversary.choices) for at in range(page, page + count))

    def write(self, page: int, data: bytes) -> None:
        """A write that fails may have reached the disk all the same, in any part."""
        assert 0 <= page < page + len(data) // PAGE <= self.disk.pages, f"page {page} is outside {self.name}"
        self._refuse("write", self.number in self.adversary.broken)
        self._refuse("write", self.number in self.adversary.read_only, errno.EROFS)
        self.adversary.may_stop(f"a write to page {page} of {self.name}", is_flush=False)
        fails = self.adversary.fails()
        for at in range(0, len(data), PAGE):
            self.disk.pending.setdefault(page + at // PAGE, []).append(data[at : at + PAGE])
        if fails:
            self._fail("write")

    def flush(self) -> None:
        """A flush that fails leaves open what of it reached the disk."""
        self._refuse("flush", self.number in self.adversary.broken)
        site = name_site()
        self.adversary.may_stop(f"the flush of {self.name} in {site}", is_flush=True)
        self.adversary.sites.add(site)
        if self.adversary.dropped and site == self.adversary.dropped:
            return
        if self.adversary.fails():
            self._fail("flush")
        self.disk.flush()

    def _fail(self, operation: str) -> None:
        """What was written stays in sight and is not durable, or reads tell what reached the disk: any part.

        Where there is a page cache it may stay in sight without being written by the next flush.
        """
        picked = self.adversary.choices.pick(3 if self.is_cached else 2)
        if picked == 1:
            self.disk.settle()
        elif picked:
            self.disk.drop()
        self._refuse(operation, True)

    def _refuse(self, operation: str, fails: bool, number: int = errno.EIO) -> None:
        if fails:
            raise KernelError(operation, number, device=self.name)


def name_site() -> str:
    """Which flush of the program this is: the functions of `drystone.dvm` that led to it, the inner one last."""
    names: list[str] = []
    frame = sys._getframe(2)  # noqa: SLF001  # CPython's; a test bench may
    while (
        frame is not None and "/testing/" not in frame.f_code.co_filename and "/tests/" not in frame.f_code.co_filename
    ):
        names.insert(0, f"{frame.f_code.co_name}")
        frame = frame.f_back  # type: ignore[assignment]  # None at the outermost, where the loop ends
    return " > ".join(names)


def open_world(world: World, adversary: Adversary, numbers: Iterable[int] | None = None) -> list[CrashDevice]:
    """The disks of a world as devices, all or those of these numbers."""
    wanted: Sequence[int] = range(len(world)) if numbers is None else list(numbers)
    return [CrashDevice(number, world[number], adversary) for number in wanted]


def power_off(world: World, *, torn_within: bool = False) -> World:
    """The world after the power went off, as another one."""
    after = copy_world(world)
    for disk in after:
        disk.settle(torn_within=torn_within)
    return after
