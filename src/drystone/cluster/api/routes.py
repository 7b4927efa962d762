"""All routes of the API."""

from __future__ import annotations

from drystone.cluster.api import (
    attachments,
    backups,
    balancing,
    clones,
    commits,
    dlvs,
    dpvs,
    dvgs,
    evacuations,
    events,
    ihosts,
    jobs,
    metrics,
    resizes,
    restores,
    rollbacks,
    snapshots,
)
from drystone.cluster.api.application import make_application
from drystone.cluster.api.desk import Desk
from drystone.cluster.api.page.routes import make_page
from drystone.cluster.api.tokens import Tokens
from drystone.wire.gate import Application

PAGE_SECONDS = 1.0
"""For which the page's overview is given again: many may look at a time."""


def make_api(desk: Desk, tokens: Tokens, *, page_seconds: float = PAGE_SECONDS) -> Application:
    """The API as an ASGI application over an open database, with metrics and the page for people."""
    rooms = (
        *(dpvs, evacuations, dvgs, balancing, ihosts),
        *(dlvs, snapshots, clones, attachments, resizes, rollbacks, jobs, backups, restores, commits, events),
    )
    handlers = [handler for room in rooms for handler in room.make_handlers(desk)]
    others = [*metrics.make_handlers(desk), make_page(desk, tokens, page_seconds)]
    return make_application(handlers, tokens, others)
