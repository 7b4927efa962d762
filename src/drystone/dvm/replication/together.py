"""The same done to the regions of many devices, at once where the devices are slow.

Only for what may be done in any order: for reading, for pages that nothing refers to yet, and for the flush that every
operation begins with. Slots are written one after another: the proof enumerates that order
(docs/explanation/replicated-metadata.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from typing import TypeVar

from drystone.dvm.replication.regions import FileRegion, RegionDevice
from drystone.kernel.pages import PageDevice
from drystone.kernel.together import WORTH_S, Action, run_together

Answer = TypeVar("Answer")


def done_together(devices: Sequence[RegionDevice], actions: Sequence[Action], *, worth_s: float = WORTH_S) -> bool:
    """Whether these actions were done, one a region. They are not when a device is none of the kernel's.

    Regions of one device are in one thread. Fails as `run_together`.
    """
    groups: dict[int, list[Action]] = {}
    for device, action in zip(devices, actions, strict=True):
        if not (isinstance(device, FileRegion) and isinstance(device.file, PageDevice)):
            return False
        groups.setdefault(id(device.file), []).append(action)
    run_together(list(groups.values()), worth_s=worth_s)
    return True


def gather(
    devices: Sequence[RegionDevice],
    ask: Callable[[int], Answer],
    *,
    is_one_page: bool = False,
    worth_s: float = WORTH_S,
) -> list[Answer]:
    """What `ask` answers for each region, by its number; it reads, and writes nothing.

    :param is_one_page: that is all that it reads; else the region's first pages are read at once.

    Fails as `run_together` for devices of the kernel's; for others with the first failure.
    """
    found: dict[int, Answer] = {}

    def note(number: int) -> None:
        device = devices[number]
        with device.reading() if isinstance(device, FileRegion) and not is_one_page else nullcontext():
            found[number] = ask(number)

    if not done_together(devices, [partial(note, number) for number in range(len(devices))], worth_s=worth_s):
        return [ask(number) for number in range(len(devices))]
    return [found[number] for number in range(len(devices))]
