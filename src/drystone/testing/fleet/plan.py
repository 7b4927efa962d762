"""Schedules of faults for a fleet, made from a seed: what fails when, and for how long. Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

from drystone.fleet.documents import Policy

Profile = Literal["damage", "disks"]
"""In `damage` files of one server are flipped and cut off; in `disks` whole disks go away and come back."""

Fault = Literal[
    "stop", "kill", "hang", "cut", "flip", "truncate", "unmount", "fill", "lose-database", "restore-database"
]

_SHARED: tuple[Fault, ...] = ("stop", "kill", "kill", "hang", "cut", "cut")
_KINDS: dict[Profile, tuple[Fault, ...]] = {
    "damage": (*_SHARED, "flip", "flip", "truncate"),
    "disks": (*_SHARED, "unmount", "unmount", "fill", "lose-database", "restore-database"),
}
_LONGEST = 9.0
_HEARD_SECONDS = 6.0
"""For so long after a database was put back every server is well: then one is heard that knows better than it."""
DISKS = 3
"""Of each storage server."""


@dataclass(frozen=True, slots=True)
class Step:
    """A fault. :ivar begin, end: seconds after the start; both the same for what does not last.

    :ivar target: of `cut` the caller. :ivar called: of `cut`. :ivar how: of `cut`: hold or reset.
    :ivar number: of the disk; for damage any number, which chooses among the files that there are.
    """

    fault: Fault
    begin: float
    end: float
    target: str = ""
    called: str = ""
    how: Literal["hold", "reset"] = "hold"
    told: bool = False
    number: int = 0

    def __str__(self) -> str:
        words = [self.fault, self.target, self.called and f"to {self.called}", f"#{self.number}"]
        how = f" ({self.how})" if self.fault == "cut" else " (and told)" if self.told else ""
        return f"{self.begin:5.1f} to {self.end:5.1f}  {' '.join(each for each in words if each)}{how}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens, to which fleet.

    :ivar storage: ids of the storage servers, :ivar mappers: of the mappers. :ivar policy: of the bucket.
    :ivar victim: the storage server whose files are damaged.
    """

    seed: int
    profile: Profile
    storage: tuple[str, ...]
    mappers: tuple[str, ...]
    policy: Policy
    seconds: float
    steps: tuple[Step, ...]
    victim: str


def plan(seed: int, seconds: float = 20.0) -> Schedule:
    """The schedule of a seed; it depends on `seconds` too, over which the faults are spread."""
    source = random.Random(seed)  # noqa: S311  # it repeats itself on purpose
    profile: Profile = "damage" if seed % 3 == 0 else "disks"
    storage = tuple(f"storage_{number}" for number in range(1, source.choice((3, 3, 4))))
    mappers = tuple(f"mapper_{number}" for number in range(1, source.choice((2, 2, 3))))
    policy: Policy = source.choice(("shared", "shared", "exclusive"))
    victim = source.choice(storage)
    kinds = [source.choice(_KINDS[profile]) for _ in range(source.randrange(3, 9))]
    made = [_make_step(source, kind, storage, mappers, seconds) for kind in kinds]
    steps = [_tell(each, made) if each.fault == "restore-database" else each for each in made]
    steps.sort(key=lambda each: each.begin)
    return Schedule(seed, profile, storage, mappers, policy, seconds, tuple(steps), victim)


def _tell(step: Step, others: list[Step]) -> Step:
    """A putting back of the database: nobody says so where every server lives and is reached just then."""
    quiet = all(
        each.end < step.end - 1.0 or each.begin > step.end + _HEARD_SECONDS
        for each in others
        if each.fault in {"stop", "kill", "hang", "cut"}
    )
    return replace(step, told=not quiet)


def _make_step(
    source: random.Random, fault: Fault, storage: tuple[str, ...], mappers: tuple[str, ...], seconds: float
) -> Step:
    begin = source.uniform(0.5, seconds - 2)
    end = min(seconds, begin + source.uniform(0.3, _LONGEST))
    number = source.randrange(1, DISKS + 1)
    match fault:
        case "stop" | "kill" | "hang":
            return Step(fault, begin, end, target=source.choice([*storage, *storage, *mappers]))
        case "cut":
            caller, called = source.sample([*storage, *mappers], 2)
            if caller in mappers:  # which call nobody
                caller, called = called, caller
            return Step(fault, begin, end, target=caller, called=called, how=source.choice(("hold", "reset")))
        case "flip" | "truncate":
            return Step(fault, begin, begin, number=source.randrange(1 << 30))
        case "unmount" | "fill":
            return Step(fault, begin, end, target=source.choice(storage), number=number)
        case "lose-database" | "restore-database":
            return Step(fault, begin, end, target=source.choice(mappers))
