"""Groups that are new: when they come into use."""

from __future__ import annotations

from msgspec.structs import replace

from drystone.cluster.monitor.decide import improve
from drystone.cluster.monitor.view import load_view

from .world import MIB, World


def test_a_group_begins_without_a_leg_that_no_dpv_has_room_for_and_for_no_other_reason(world: World) -> None:
    """What a dlv lacks may be something else: then the leg is replaced first, and the group is whole."""
    world.make()
    world.attach()
    world.client.must("POST", "/dlvs/db/extend", {"size": 4 * MIB})
    world.client.must("POST", "/dpvs/d2/unavailable", {"reason": "it burns"})
    view = world.database.read(lambda connection: load_view(connection, "db"))
    assert view is not None
    ready = tuple(replace(leg, status="ready") if leg.dpv == "d1" else leg for leg in view.dlv.legs)
    view = view._replace(dlv=replace(view.dlv, legs=ready))
    away = {leg.id for leg in view.dlv.legs if leg.group == 2 and leg.dpv == "d2"}
    for homeless, blank in ((set[str](), True), (away, False)):
        decision = improve(view, {"d1"}, "a leg is not there any more", homeless)
        assert decision is not None
        assert decision.dlv is not None
        assert decision.dlv.groups[2].blank == blank
