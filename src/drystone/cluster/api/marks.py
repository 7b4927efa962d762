"""What an operator says of a host: that it is available, or not. The same for dpvs and ihosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from litestar import Response, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace
from sqlalchemy import Connection

from drystone.cluster.api.desk import Desk, Key, Named, answers, known, told
from drystone.cluster.api.documents import Reason
from drystone.cluster.model.dpv import Dpv, HostStatus, Ihost
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest

Host = TypeVar("Host", Dpv, Ihost)

WAITING = "its agent has not answered; an operator may say that it is available"


class Kind(NamedTuple, Generic[Host]):
    """A kind of host. :ivar name: in paths and events. :ivar load, save: of `state.rows`.

    :ivar available, unavailable: what that means, in words.
    """

    name: str
    document: type[Host]
    load: Callable[[Connection, str], Host]
    save: Callable[[Connection, Host, Host], None]
    available: str
    unavailable: str


def mark(work: Work, kind: Kind[Host], name: str, status: HostStatus, reason: str) -> Answer:
    """What is on it stays as it is. :raises NotFoundError: there is none."""
    before = kind.load(work.connection, known(name, kind.name))
    after = replace(before, status=status, reason=reason)
    if after != before:
        kind.save(work.connection, before, after)
        work.tell(status, kind.name, name, reason)
    return told(after, 200)


def make_handlers(desk: Desk, kind: Kind[Host]) -> list[ControllerRouterHandler]:
    """The two routes of a kind."""
    responses = answers({200: kind.document}, 400, 404, 409)
    place, operation = f"/{kind.name}s/{{name:str}}", f"make{kind.name.capitalize()}"

    def make(status: HostStatus, text: str) -> ControllerRouterHandler:
        @post(
            f"{place}/{status}",
            status_code=200,
            responses=responses,
            operation_id=f"{operation}{status.capitalize()}",
            description=text,
        )
        async def marked(request: AnyRequest, name: Named, data: JSONBody[Reason], key: Key = None) -> Response[bytes]:
            return await desk.write(request, key, data, lambda work: mark(work, kind, name, status, data.reason))

        return marked

    return [make("available", kind.available), make("unavailable", kind.unavailable)]
