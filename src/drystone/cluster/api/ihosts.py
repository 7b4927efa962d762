"""ihosts: registered, made available or unavailable by an operator, forgotten."""

from __future__ import annotations

from litestar import Response, delete, get, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler

from drystone.base.errors import BusyError, ExistsError
from drystone.base.names import check_name
from drystone.cluster.api import marks
from drystone.cluster.api.desk import (
    GONE,
    After,
    Descending,
    Desk,
    Filter,
    Key,
    Limit,
    Named,
    answers,
    give,
    known,
    told,
)
from drystone.cluster.api.documents import NewIhost, Page
from drystone.cluster.model.dpv import Ihost
from drystone.cluster.state import ahead, restores, rows, schema
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest

KIND = marks.Kind(
    "ihost",
    Ihost,
    rows.load_ihost,
    rows.save_ihost,
    available="Have dlvs attached to an ihost.",
    unavailable="Have no more dlvs attached to an ihost; those that are stay.",
)


def register(work: Work, wanted: NewIhost) -> Answer:
    """One that is new. :raises ExistsError: there is one of that name, or with that initiator."""
    if rows.find_ihosts(work.connection, [check_name(wanted.name, "ihost")]):
        raise ExistsError(f"there is an ihost {wanted.name!r}")
    if other := rows.find_initiator(work.connection, wanted.initiator):
        raise ExistsError(f"there is an ihost {other.name!r} with that initiator")
    ihost = Ihost(name=wanted.name, address=wanted.address, initiator=wanted.initiator, reason=marks.WAITING)
    rows.add_ihost(work.connection, ihost)
    work.tell("registered", "ihost", ihost.name)
    return told(ihost, 201)


def forget(work: Work, name: str) -> Answer:
    """:raises NotFoundError: there is none.

    :raises BusyError: dlvs are attached to it, or to be, or to be filled by it; or it knows more of one than is
        recorded.
    """
    rows.load_ihost(work.connection, known(name, "ihost"))
    if names := rows.names_at(work.connection, name):
        raise BusyError(f"ihost {name} has {len(names)} dlvs, {names[0]} among them", hint="detach them first")
    if filled := restores.names_at(work.connection, name):
        raise BusyError(
            f"ihost {name} is to fill dlv {filled[0]} from a backup", hint="wait for that job, or cancel it"
        )
    if dlvs := ahead.find_dlvs(work.connection, name):
        raise BusyError(
            f"ihost {name} knows more of dlv {dlvs[0]} than this database does, which is an old copy",
            hint="bring the newest one back, or stop its agent and wait until that is given up",
        )
    rows.remove_ihost(work.connection, name)
    work.tell("forgotten", "ihost", name)
    return GONE


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of ihosts."""

    @post("/ihosts", responses=answers({201: Ihost}, 400, 409), operation_id="registerIhost")
    async def create(request: AnyRequest, data: JSONBody[NewIhost], key: Key = None) -> Response[bytes]:
        """Register an ihost."""
        return await desk.write(request, key, data, lambda work: register(work, data))

    @get("/ihosts", responses=answers({200: Page[Ihost]}, 400), operation_id="listIhosts")
    async def listed(
        limit: Limit = 100, after: After = "", descending: Descending = False, status: Filter = None
    ) -> Response[bytes]:
        """List ihosts, in the order of their names."""
        filters = {"status": status}
        return await desk.page(
            schema.ihosts, rows.find_ihosts, after=after, limit=limit, descending=descending, filters=filters
        )

    @get("/ihosts/{name:str}", responses=answers({200: Ihost}, 400, 404), operation_id="getIhost")
    async def one(name: Named) -> Response[bytes]:
        """One ihost."""
        return give(await desk.read(lambda connection: rows.load_ihost(connection, known(name, "ihost"))))

    @delete(
        "/ihosts/{name:str}", status_code=204, responses=answers({204: None}, 400, 404, 409), operation_id="forgetIhost"
    )
    async def remove(request: AnyRequest, name: Named, key: Key = None) -> Response[None]:
        """Forget an ihost that no dlv is attached to."""
        return await desk.write(request, key, None, lambda work: forget(work, name))

    return [create, listed, one, remove, *marks.make_handlers(desk, KIND)]
