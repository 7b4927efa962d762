"""Deeds by which legs go to other dpvs."""

from __future__ import annotations

from sqlalchemy import Connection

from drystone.base.sizes import format_size
from drystone.cluster.api import evacuations
from drystone.cluster.api.page.deed import Deed, Told, Values, name_of
from drystone.cluster.model.extents import EXTENT


def _preview_evacuation(connection: Connection, values: Values) -> Told:
    found = evacuations.preview(connection, name_of(values))
    moves = (
        f"a leg of {each.dlv}, {format_size(each.extents * EXTENT)}, goes from {each.source} to {each.target}"
        for each in found.moves
    )
    return Told((*moves, *found.waiting))


DEEDS_OF_MOVES = (
    Deed(
        "evacuate", "dpv", "Evacuate a dpv", "Evacuate it",
        "Every leg on it is replaced by one elsewhere, a few at a time, without detaching anything: a leg is copied"
        " first and given up then. No new legs are put there.",
        lambda values: lambda work: evacuations.begin(work, name_of(values)), preview=_preview_evacuation,
    ),
    Deed(
        "stay", "dpv", "End the evacuation of a dpv", "Let the rest stay",
        "Its other legs stay, and it is given new ones again. What moves already is moved.",
        lambda values: lambda work: evacuations.cancel(work, name_of(values)),
    ),
)  # fmt: skip
