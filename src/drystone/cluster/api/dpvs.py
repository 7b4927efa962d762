"""dpvs: registered, made available or unavailable by an operator, forgotten."""

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
from drystone.cluster.api.documents import NewDpv, Page
from drystone.cluster.model.dpv import Dpv
from drystone.cluster.model.extents import whole_extents
from drystone.cluster.state import rows, schema
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest

KIND = marks.Kind(
    "dpv",
    Dpv,
    rows.load_dpv,
    rows.save_dpv,
    available="Have space given out of a dpv.",
    unavailable="Have no space given out of a dpv any more.",
)


def register(work: Work, wanted: NewDpv) -> Answer:
    """One that is new. :raises ExistsError: there is one of that name."""
    extents = whole_extents(wanted.size)
    if rows.find_dpvs(work.connection, [check_name(wanted.name, "dpv")]):
        raise ExistsError(f"there is a dpv {wanted.name!r}")
    dpv = Dpv(
        name=wanted.name,
        address=wanted.address,
        portal=wanted.portal,
        location=wanted.location,
        extents=extents,
        reason=marks.WAITING,
    )
    rows.add_dpv(work.connection, dpv)
    work.tell("registered", "dpv", dpv.name)
    return told(dpv, 201)


def forget(work: Work, name: str) -> Answer:
    """:raises NotFoundError: there is none. :raises BusyError: it is in a dvg, or has legs."""
    dpv = rows.load_dpv(work.connection, known(name, "dpv"))
    if dpv.dvg:
        raise BusyError(f"dpv {name} is in dvg {dpv.dvg}", hint="reduce the dvg first")
    if dpv.used:
        raise BusyError(f"dpv {name} has legs")
    rows.remove_dpv(work.connection, dpv)
    work.tell("forgotten", "dpv", name)
    return GONE


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of dpvs."""

    @post("/dpvs", responses=answers({201: Dpv}, 400, 409), operation_id="registerDpv")
    async def create(request: AnyRequest, data: JSONBody[NewDpv], key: Key = None) -> Response[bytes]:
        """Register a dpv."""
        return await desk.write(request, key, data, lambda work: register(work, data))

    @get("/dpvs", responses=answers({200: Page[Dpv]}, 400), operation_id="listDpvs")
    async def listed(
        limit: Limit = 100, after: After = "", descending: Descending = False, dvg: Filter = None,
        status: Filter = None, location: Filter = None,
    ) -> Response[bytes]:  # fmt: skip
        """List dpvs, in the order of their names."""
        filters = {"dvg": dvg, "status": status, "location": location}
        return await desk.page(
            schema.dpvs, rows.find_dpvs, after=after, limit=limit, descending=descending, filters=filters
        )

    @get("/dpvs/{name:str}", responses=answers({200: Dpv}, 400, 404), operation_id="getDpv")
    async def one(name: Named) -> Response[bytes]:
        """One dpv."""
        return give(await desk.read(lambda connection: rows.load_dpv(connection, known(name, "dpv"))))

    @delete(
        "/dpvs/{name:str}", status_code=204, responses=answers({204: None}, 400, 404, 409), operation_id="forgetDpv"
    )
    async def remove(request: AnyRequest, name: Named, key: Key = None) -> Response[None]:
        """Forget a dpv that is in no dvg and has no legs."""
        return await desk.write(request, key, None, lambda work: forget(work, name))

    return [create, listed, one, remove, *marks.make_handlers(desk, KIND)]
