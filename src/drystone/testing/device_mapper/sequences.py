"""Random calls to a device-mapper, and answers in a form that two implementations can be compared by.

The calls are few kinds of sensible ones and few kinds of mistakes, on a handful of names, so that they meet.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from msgspec.structs import replace

from drystone.base.errors import KernelError
from drystone.kernel.dm.abc import DeviceInfo, DeviceMapper, DeviceNumber, TableLine, TargetStatus

NAMES = ("bench-a", "bench-b", "bench-c", "bench-d", "bench-e")
BLOCK = 128

_MESSAGES = {
    "thin-pool": (
        *(
            "create_thin 0",
            "create_thin 1",
            "create_thin 0",
            "create_snap 1 0",
            "create_snap 2 1",
            "delete 0",
            "delete 2",
        ),
        *("set_transaction_id 0 1", "set_transaction_id 1 2", "reserve_metadata_snap", "release_metadata_snap"),
    ),
    "era": ("checkpoint", "take_metadata_snap", "drop_metadata_snap"),
}
_PLAIN = ("info", "table", "status", "status", "deps", "clear", "remove", "suspend", "resume")
_ESTIMATED = {"thin-pool": re.compile(r"^(\d+) \d+/(\d+) (\S+) (\S+)"), "era": re.compile(r"^8 \d+/(\d+) (\d+) (\S+)")}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: the method's name, the device, and what else it takes."""

    method: str
    name: str
    text: str = ""
    table: tuple[TableLine, ...] = ()
    flag: bool = False
    sector: int = 0

    def apply(self, dm: DeviceMapper) -> object:
        """Make the call; its answer. KernelError as the call raises it."""
        match self.method:
            case "load":
                return dm.load(self.name, self.table, read_only=self.flag)
            case "message" | "rename":
                return getattr(dm, self.method)(self.name, self.text)
            case "create":
                return dm.create(self.name, self.text)
            case "remove":
                dm.remove(self.name, deferred=self.flag)
                return None
            case "table" | "deps":
                return getattr(dm, self.method)(self.name, inactive=self.flag)
            case _:
                return getattr(dm, self.method)(self.name)


def next_call(random: Random, dm: DeviceMapper, disks: Sequence[DeviceNumber]) -> Call:
    """A call that mostly makes sense in the state that `dm` is in."""
    name = random.choice(NAMES)
    there = {each.name for each in dm.list_devices()}
    if name not in there and random.random() < 0.9:
        return Call("create", name, random.choice(("", "", "bench-uuid-" + name[-1], "bench-uuid")))
    live = {each: dm.table(each) for each in sorted(there)}
    kind = random.random()
    if kind < 0.3:
        numbers = [dm.info(each).number for each in live if each != name]
        pools = [dm.info(each).number for each, table in live.items() if table and table[0].target == "thin-pool"]
        return Call("load", name, table=_table(random, list(disks), numbers, pools), flag=random.random() < 0.05)
    if kind < 0.5:
        waiting = [each for each in live if dm.info(each).inactive_table or dm.info(each).suspended]
        return Call("resume", random.choice(waiting or [name]))
    if kind < 0.65:
        return _message(random, name, {each: table[0].target for each, table in live.items() if table})
    if kind < 0.68:
        return Call("rename", name, random.choice(NAMES))
    if kind < 0.8:
        written = random.choice([each for each, table in live.items() if table] or [name])
        return Call("write", written, sector=random.randrange(0, 64) * 64)
    return Call(random.choice(_PLAIN), name, flag=random.random() < 0.25)


def _message(random: Random, name: str, targets: dict[str, str]) -> Call:
    """A message that a device understands, or any to anybody."""
    takers = [each for each, target in targets.items() if target in _MESSAGES]
    if takers and random.random() < 0.9:
        name = random.choice(takers)
        return Call("message", name, random.choice(_MESSAGES[targets[name]]))
    return Call("message", name, random.choice(("nonesuch", "create_thin 0", "checkpoint")))


def _table(
    random: Random, disks: list[DeviceNumber], mapped: list[DeviceNumber], pools: list[DeviceNumber]
) -> tuple[TableLine, ...]:
    length = random.choice((4096, 4096, 8192, 1 << 17, 8 * BLOCK))
    some = random.choice(disks + mapped)
    first = random.choice((0, 4096))
    pool = random.choice(pools * 9 or mapped or disks)
    choices = {
        "linear": f"{some} {first}",
        "zero": "",
        "error": "",
        "striped": f"2 16 {some} 0 {random.choice(disks)} {first}",
        "thin-pool": f"{disks[0]} {disks[1]} {random.choice((BLOCK, BLOCK, 2 * BLOCK))} 2 1 error_if_no_space",
        "thin": f"{pool} {random.choice((0, 0, 0, 1, 2))}",
        "era": f"{disks[2]} {some} {random.choice((64, 64, 64, 128))}",
        "snapshot": f"{disks[1]} {disks[3]} {random.choice('PN')} 8",
        "snapshot-origin": f"{random.choice((disks[1], some))}",
    }
    weights = {"thin-pool": 1 if pools else 8, "thin": 10 if pools else 1, "linear": 3}
    kind = random.choices(list(choices), [weights.get(each, 1) for each in choices])[0]
    line = TableLine(0, length, kind, choices[kind])
    if random.random() < 0.1:
        return (line, TableLine(length + random.choice((0, 0, 8)), 64, random.choice(("zero", "error"))))
    return (line,)


def answer(call: Call, dm: DeviceMapper) -> object:
    """What the call answers, or its errno; without what two implementations need not agree on."""
    try:
        return comparable(call.apply(dm))
    except KernelError as error:
        return error.facts["errno_name"]


def comparable(found: object) -> object:
    """An answer without estimates: metadata blocks in use, and where a metadata snapshot is held."""
    if isinstance(found, list):
        return [comparable(each) for each in found]
    if isinstance(found, TargetStatus) and found.target in _ESTIMATED:
        match = _ESTIMATED[found.target].match(found.text)
        if match is None:
            return found
        words = [*match.groups()[:-1], "held" if match.groups()[-1] != "-" else "-"]
        return replace(found, text=" ".join(words) + found.text[match.end() :])
    return found


def state(dm: DeviceMapper) -> list[object]:
    """All that can be asked without a status, which a suspended target may not answer."""
    found: list[object] = []
    for entry in dm.list_devices():
        info: DeviceInfo = dm.info(entry.name)
        tables = [(dm.table(entry.name, inactive=flag), dm.deps(entry.name, inactive=flag)) for flag in (False, True)]
        found.append((entry, info, tables))
    return found
