"""What an ihost measures of its volumes' layers: dm-stats regions of our own, made while no I/O can be in flight.

A region is made while the kernel suspends the device and waits for its I/O, which nothing ends (see
kernel.dm.io_statistics). A mirror that holds its writes would be waited for, and could not be swapped meanwhile. So one
is made for a mirror only before anything has it open; for what is above mirrors, only while nobody outside has a device
of the volume open: such a wait keeps no swap. What was missed, as the agent was told to measure while the volume was in
use, is measured from the next attachment on.
"""

from __future__ import annotations

import errno
import logging
import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

from drystone.base.clock import Clock, SystemClock
from drystone.base.errors import DrystoneError, KernelError
from drystone.cluster.agents.devices import PREFIX
from drystone.kernel.dm import io_statistics as dm
from drystone.kernel.dm.abc import DeviceEntry, DeviceInfo, DeviceMapper
from drystone.kernel.dm.io_statistics import IoCounts

log = logging.getLogger(__name__)

PROGRAM = "drystone-cluster"
"""Whose regions they are; those of others are left alone."""
BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Seconds, of the histograms."""

_PART = re.compile(rf"{PREFIX}([0-9a-f-]{{36}})-(volume|thin[0-9]+|data|metadata|g[0-9]+\.s[0-9]+)")
_PROBES = 5
_PROBE_SECONDS = 0.1
"""udev looks into a new mirror for a moment: so often, and so long, it is waited for."""


class Layer(NamedTuple):
    """A device of a volume. :ivar dlv: its name. :ivar kind: final, thin, data, metadata, mirror.

    :ivar part: which one of its kind.
    """

    dlv: str
    kind: str
    part: str


class Meters:
    """The regions of one device-mapper. The constructor has no effects."""

    def __init__(self, devices: DeviceMapper, *, clock: Clock | None = None) -> None:
        self._dm = devices
        self._clock = clock or SystemClock()

    def begin(self, uuids: Collection[str]) -> None:
        """Measure the devices of one volume that have these UUIDs, as far as that can be begun now. It never raises:
        what cannot be measured works all the same.
        """
        try:
            self._begin(uuids)
        except (DrystoneError, OSError) as error:
            log.warning("layers are not measured: %s", error)

    def read(self) -> Iterator[tuple[Layer, IoCounts]]:
        """What was counted, of every layer that is measured. It waits for no I/O.

        :raises DrystoneError: device-mapper does not answer.
        """
        for entry in self._dm.list_devices():
            layer = find_layer(entry)
            if layer is None:
                continue
            try:
                for region in self._regions(entry):
                    text = self._dm.message(entry.number, dm.print_message(region.number))
                    yield layer, dm.parse_counts(text)
            except KernelError as error:
                if error.errno not in {errno.ENXIO, errno.ENOENT}:
                    raise  # else it has gone meanwhile

    def _begin(self, uuids: Collection[str]) -> None:
        for turn in range(_PROBES):
            if turn:
                self._clock.sleep(_PROBE_SECONDS)
            if not self._try(uuids):
                return

    def _try(self, uuids: Collection[str]) -> bool:
        """Whether somebody from outside looks into a mirror, so that it is worth to try again."""
        entries = [each for each in self._dm.list_devices() if each.uuid in uuids]
        infos = {each.number: self._dm.info(each.number) for each in entries}
        held = Counter(number for each in entries for number in self._dm.deps(each.number) if number in infos)
        is_idle = all(info.open_count == held[number] for number, info in infos.items())
        looked_into = False
        for entry in entries:
            layer, info = find_layer(entry), infos[entry.number]
            if layer is None or not info.live_table or self._is_measured(entry):
                continue
            if info.open_count == 0 or (is_idle and layer.kind != "mirror"):
                self._measure(entry, info)
            elif not held[entry.number]:
                looked_into = True
        return looked_into

    def _is_measured(self, entry: DeviceEntry) -> bool:
        """Whether all of a device is counted."""
        length = self._length(entry)
        return any(region.length == length for region in self._regions(entry))

    def _measure(self, entry: DeviceEntry, info: DeviceInfo) -> None:
        """Count all of it: a device that grew is counted anew, from zero."""
        for region in self._regions(entry):
            self._dm.message(entry.number, dm.delete_message(region.number))
        self._dm.message(info.number, dm.create_message(self._length(entry), BOUNDS, PROGRAM))

    def _length(self, entry: DeviceEntry) -> int:
        lines = self._dm.table(entry.number)
        return lines[-1].start + lines[-1].length if lines else 0

    def _regions(self, entry: DeviceEntry) -> list[dm.Region]:
        return dm.parse_list(self._dm.message(entry.number, dm.list_message(PROGRAM)))


def find_layer(entry: DeviceEntry) -> Layer | None:
    """What a device is; None for what is no layer that is measured, such as a pool, which passes no I/O itself."""
    match = _PART.fullmatch(entry.uuid)
    if match is None:
        return None
    part = match[2]
    dlv = entry.name.removeprefix("drystone-dlv-").partition(":")[0]
    if part == "volume":
        return Layer(dlv, "final", "volume")
    if part in {"data", "metadata"}:
        return Layer(dlv, part, part)
    return Layer(dlv, "thin" if part.startswith("thin") else "mirror", part)
