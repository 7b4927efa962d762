"""All routes of the API."""

from __future__ import annotations

from drystone.cluster.api import attachments, commits, dlvs, dpvs, dvgs, events, ihosts, jobs, snapshots
from drystone.cluster.api.application import make_application
from drystone.cluster.api.desk import Desk
from drystone.cluster.api.tokens import Tokens
from drystone.wire.gate import Application


def make_api(desk: Desk, tokens: Tokens) -> Application:
    """The API as an ASGI application over an open database."""
    rooms = (dpvs, dvgs, ihosts, dlvs, snapshots, attachments, jobs, commits, events)
    return make_application([handler for room in rooms for handler in room.make_handlers(desk)], tokens)
