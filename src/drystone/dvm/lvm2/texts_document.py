"""The texts that are still on devices, as a document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from drystone.dvm.lvm2.entries import Entry, format_time
from drystone.dvm.lvm2.rescue import Rescue, Rescued


class FoundEntry(Entry, frozen=True):
    """Where a text is: `offset` bytes into what begins at byte `area` of the device.

    :ivar slot: `committed` or `precommitted` when a header points to it. :ivar wrapped: it goes on at the ring's begin.
    """

    path: str
    area: int
    offset: int
    wrapped: bool
    slot: str


class RescuedEntry(Entry, frozen=True):
    """A whole text. `devices`, `volumes`: how many.

    :ivar proof: `checksum`, `copies`, `grammar` or `contradicted`. :ivar size: bytes, without the NUL.
    """

    group: str
    uuid: str
    seqno: int
    written: str | None
    description: str
    host: str
    checksum: str
    proof: str
    size: int
    devices: int
    volumes: int
    places: tuple[FoundEntry, ...]


class BrokenEntry(Entry, frozen=True):
    """What begins as a text does, and is none."""

    path: str
    area: int
    offset: int
    slot: str
    problem: str


class TextsDocument(Entry, frozen=True, kw_only=True):
    """All texts that are still there, newest first within each group."""

    schema: Literal["drystone.dvm.lvm2.texts"] = "drystone.dvm.lvm2.texts"
    version: Literal[1] = 1
    texts: tuple[RescuedEntry, ...]
    broken: tuple[BrokenEntry, ...]
    problems: tuple[str, ...]


def texts_document(found: Rescue, texts: Iterable[Rescued]) -> TextsDocument:
    """Those `texts` of all that was found."""
    broken = (BrokenEntry(b.place.path, b.place.area, b.place.offset, b.place.slot, b.problem) for b in found.broken)
    return TextsDocument(texts=tuple(map(_rescued, texts)), broken=tuple(broken), problems=found.problems)


def _rescued(text: Rescued) -> RescuedEntry:
    group = text.group
    return RescuedEntry(
        group=group.name,
        uuid=group.uuid,
        seqno=group.number,
        written=format_time(group.created),
        description=group.description,
        host=group.host,
        checksum=f"{text.checksum:08x}",
        proof=text.proof,
        size=len(text.data),
        devices=len(group.physical),
        volumes=sum("VISIBLE" in volume.status for volume in group.logical),
        places=tuple(
            FoundEntry(place.path, place.area, place.offset, place.wrapped, place.slot) for place in text.places
        ),
    )
