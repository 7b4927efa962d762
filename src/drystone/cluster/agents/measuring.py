"""What an agent's /metrics are made of: its survey, what it sees of its volumes, and what the kernel has counted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from drystone.base.errors import DamagedError, DrystoneError
from drystone.cluster.agents.answers import LegsSeen, Survey, VolumeSeen
from drystone.cluster.agents.devices import Devices
from drystone.cluster.agents.legs import uuid_of_leg
from drystone.cluster.agents.meters import BOUNDS, Layer, Meters
from drystone.cluster.agents.metrics import describe_layers, describe_legs, describe_survey, describe_volumes
from drystone.kernel.disk_statistics import read_disk_counts
from drystone.kernel.dm.io_statistics import IoCounts
from drystone.wire.exposition import expose

log = logging.getLogger(__name__)

Seen = TypeVar("Seen", VolumeSeen, LegsSeen)
ReadCounts = Callable[[str], IoCounts | None]


class Ihost(Protocol):
    """An ihost's agent, as far as it is asked here."""

    def survey(self) -> Survey: ...

    def look(self, dlv: str) -> VolumeSeen: ...


class Dpv(Protocol):
    """A dpv's agent, as far as it is asked here."""

    def survey(self) -> Survey: ...

    def look(self, dlv: str) -> LegsSeen: ...


def measure_ihost(agent: Ihost, meters: Meters, read_counts: ReadCounts = read_disk_counts) -> bytes:
    """The text of an ihost. It waits for no disk. :raises DrystoneError: the kernel does not answer."""
    survey = agent.survey()
    volumes = {name_of(seen): seen for seen in _look(survey, agent.look)}
    counts = [*meters.read()]
    for name, seen in volumes.items():
        for disk in seen.disks:
            found = _count(disk.number, read_counts) if disk.number else None
            if found is not None:
                counts.append((Layer(name, "leg", disk.leg), found))
    return expose(
        [
            *describe_survey(survey, "ihost"),
            *describe_volumes(volumes),
            *describe_layers(sorted(counts, key=_by_layer), BOUNDS),
        ]
    )


def measure_dpv(agent: Dpv, devices: Devices, read_counts: ReadCounts = read_disk_counts) -> bytes:
    """The text of a dpv; legs are named by their ids. :raises DrystoneError: the kernel does not answer."""
    survey = agent.survey()
    legs = [*_look(survey, agent.look)]
    numbers = {entry.uuid: str(entry.number) for entry in devices.entries()}
    counts = []
    for seen in legs:
        for each in seen.legs:
            number = numbers.get(uuid_of_leg(each.leg))
            found = _count(number, read_counts) if number else None
            if found is not None:
                counts.append((Layer(seen.dlv, "slice", each.leg), found))
    layers = describe_layers(sorted(counts, key=_by_layer), BOUNDS)
    return expose([*describe_survey(survey, "dpv"), *describe_legs(legs), *layers])


def name_of(seen: VolumeSeen) -> str:
    """The name of a volume, as its devices have it; its id while there are none."""
    names = [*(each.name for each in seen.state.devices), *(each.name for each in seen.mirrors)]
    return names[0].removeprefix("drystone-dlv-").partition(":")[0] if names else seen.dlv


def _look(survey: Survey, look: Callable[[str], Seen]) -> Iterator[Seen]:
    """What is here of each dlv; one that is being changed just now is left out."""
    for dlv in sorted(survey.dlvs):
        try:
            yield look(dlv)
        except DrystoneError as error:
            log.info("dlv %s is left out of the metrics: %s", dlv, error)


def _count(number: str, read_counts: ReadCounts) -> IoCounts | None:
    try:
        return read_counts(number)
    except DamagedError as error:
        log.info("%s", error)
        return None


def _by_layer(found: tuple[Layer, IoCounts]) -> Layer:
    return found[0]
