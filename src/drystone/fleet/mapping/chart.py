"""The map that storage servers are told: all of it, or what is new to them. Pure."""

from __future__ import annotations

import msgspec

from drystone.fleet.documents import FleetMap, Server
from drystone.fleet.mapping.history import History
from drystone.fleet.mapping.model import Model

_FEW = 100
"""Changes that are told by themselves, however small the map is."""


def draw_map(model: Model, history: History, term: int, *, edition: str = "", version: int = 0) -> FleetMap:
    """What storage servers must know; only what is new to them, where that is known and less.

    :param history: of the model. :param term: in which it is told. :param edition: of the map that the server has,
        :param version: its version.
    """
    frame = FleetMap(
        fleet=model.fleet,
        term=term,
        version=model.version,
        servers=tuple(Server(each.id, each.url, alive=each.alive) for each in model.servers.values()),
        leftovers=tuple(key for key, leftover in model.leftovers.items() if leftover.due),
        recovering=model.recovering,
        edition=history.edition,
    )
    changed = None if model.recovering else history.since(edition, version)
    if changed is None or len(changed) > len(model.placements) / 2 + _FEW:
        return msgspec.structs.replace(
            frame,
            placements=tuple(model.placements.values()),
            buckets=tuple(model.buckets.values()),
            keys=tuple(model.keys.values()),
        )
    return msgspec.structs.replace(
        frame,
        since=version,
        placements=tuple(model.placements[each] for each in changed.placements if each in model.placements),
        buckets=tuple(model.buckets[each] for each in changed.buckets if each in model.buckets),
        keys=tuple(model.keys[each] for each in changed.keys if each in model.keys),
        gone_placements=tuple(changed.placements - model.placements.keys()),
        gone_buckets=tuple(changed.buckets - model.buckets.keys()),
        gone_keys=tuple(changed.keys - model.keys.keys()),
    )
