"""Events, and whether this server can answer."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler
from sqlalchemy import text

from drystone.cluster.api.application import PUBLIC
from drystone.cluster.api.desk import Desk, Filter, Limit, answers, give
from drystone.cluster.api.documents import Event, Events, Health
from drystone.cluster.state.pages import find_events

Number = Annotated[int, QueryParameter(name="after", ge=0, le=10**15, description="The `next` of the answer before.")]


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of events and of health."""

    @get("/events", responses=answers({200: Events}, 400), operation_id="listEvents")
    async def listed(
        limit: Limit = 100, after: Number = 0, kind: Filter = None, subject: Filter = None
    ) -> Response[bytes]:
        """Events above a number, in order: who goes on from `next` misses none."""
        found = await desk.read(
            lambda connection: find_events(connection, after=after, limit=limit, kind=kind, subject=subject)
        )
        items = tuple(Event(**each) for each in found)
        return give(Events(items, items[-1].number if items else after))

    @get("/health", opt={PUBLIC: True}, responses=answers({200: Health}), operation_id="getHealth")
    async def health() -> Response[bytes]:
        """200 when the database answers, 503 when it does not. Needs no token."""
        await desk.read(lambda connection: connection.execute(text("SELECT 1")).scalar())
        return give(Health("answers", "database" if desk.queue is None else desk.queue.state))

    return [listed, health]
