"""dm-stats of simulated devices: regions are made, listed and deleted; nothing is ever counted in them, as no I/O
passes here.

Facts: Linux 6.1 `drivers/md/dm-stats.c`.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass

from drystone.kernel.dm.simulated.device import Device, Region
from drystone.kernel.dm.simulated.refusal import Refusal

_RANGE = re.compile(r"([0-9]+)\+([0-9]+)")
_BOUNDS = re.compile(r"histogram:([0-9]+(?:,[0-9]+)*)")
_PRECISE = "precise_timestamps"


@dataclass(slots=True)
class _Words:
    """What is left of a message."""

    left: list[str]

    def take(self) -> str:
        """The next word. :raises Refusal: there is none."""
        if not self.left:
            raise Refusal(errno.EINVAL, "the message ends too soon")
        return self.left.pop(0)


def answer(device: Device, words: list[str]) -> str | None:
    """What a message of dm-stats is answered; None: it is another one. :raises Refusal: as the kernel would."""
    kinds = {"@stats_create": _create, "@stats_delete": _delete, "@stats_list": _list, "@stats_print": _print}
    kind = kinds.get(words[0].lower())
    return None if kind is None else kind(device, _Words(words[1:]))


def _create(device: Device, words: _Words) -> str:
    match = _RANGE.fullmatch(words.take())
    if match is None or int(match[2]) == 0:
        raise Refusal(errno.EINVAL, "the range is START+LENGTH here")
    if words.take() != "/1":
        raise Refusal(errno.EINVAL, "one area is all that is simulated")
    bounds: tuple[int, ...] = ()
    precise = False
    for _ in range(int(words.take()) if words.left and words.left[0].isdigit() else 0):
        option = words.take()
        found = _BOUNDS.fullmatch(option)
        if found is not None:
            bounds = tuple(int(each) for each in found[1].split(","))
        elif option == _PRECISE:
            precise = True
        else:
            raise Refusal(errno.EINVAL, f"no option: {option}")
    if [*bounds] != sorted(set(bounds)):
        raise Refusal(errno.EINVAL, "bounds rise")
    program = words.take() if words.left else "-"
    used = {each.number for each in device.regions}
    number = next(each for each in range(len(used) + 1) if each not in used)
    made = Region(number, int(match[1]), int(match[2]), program, precise, bounds)
    device.regions = tuple(sorted((*device.regions, made), key=lambda each: each.number))
    return str(number)


def _delete(device: Device, words: _Words) -> str:
    gone = _find(device, words)
    device.regions = tuple(each for each in device.regions if each is not gone)
    return ""


def _list(device: Device, words: _Words) -> str:
    program = words.take() if words.left else ""
    lines = []
    for each in device.regions:
        if program in {"", each.program}:
            options = " precise_timestamps" if each.precise else ""
            if each.bounds:
                options += f" histogram:{','.join(map(str, each.bounds))}"
            lines.append(f"{each.number}: {each.start}+{each.length} {each.length} {each.program} -{options}\n")
    return "".join(lines)


def _print(device: Device, words: _Words) -> str:
    region = _find(device, words)
    counts = " ".join(["0"] * 13)
    histogram = f" {':'.join(['0'] * (len(region.bounds) + 1))}" if region.bounds else ""
    return f"{region.start}+{region.length} {counts}{histogram}\n"


def _find(device: Device, words: _Words) -> Region:
    word = words.take()
    if not word.isdigit():
        raise Refusal(errno.EINVAL, f"no number: {word}")
    found = next((each for each in device.regions if each.number == int(word)), None)
    if found is None:
        raise Refusal(errno.ENOENT, f"there is no region {word}")
    return found
