"""dvgs: made, extended and reduced by dpvs, deleted."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Response, delete, get, post
from litestar.params import JSONBody
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace

from drystone.base.errors import BusyError, ExistsError, NotFoundError
from drystone.base.names import check_name
from drystone.cluster.api.desk import (
    GONE,
    After,
    Descending,
    Desk,
    Key,
    Limit,
    Named,
    answers,
    give,
    known,
    told,
)
from drystone.cluster.api.documents import Members, NewDvg, Page
from drystone.cluster.model.dpv import Dpv, Dvg
from drystone.cluster.state import rows, schema
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work
from drystone.wire.application import AnyRequest


def make(work: Work, wanted: NewDvg) -> Answer:
    """One that is new. :raises ExistsError: there is one of that name. :raises BusyError: a dpv is in another one."""
    if rows.find_dvgs(work.connection, [check_name(wanted.name, "dvg")]):
        raise ExistsError(f"there is a dvg {wanted.name!r}")
    rows.add_dvg(work.connection, wanted.name)
    work.tell("created", "dvg", wanted.name)
    _take_in(work, wanted.name, wanted.dpvs)
    return told(rows.load_dvg(work.connection, wanted.name), 201)


def extend(work: Work, name: str, names: Sequence[str]) -> Answer:
    """More dpvs; those that are in it stay. :raises NotFoundError: one is unknown. :raises BusyError: or in another."""
    rows.touch_dvg(work.connection, rows.load_dvg(work.connection, known(name, "dvg")))
    _take_in(work, name, names)
    return told(rows.load_dvg(work.connection, name), 200)


def reduce(work: Work, name: str, names: Sequence[str]) -> Answer:
    """Fewer dpvs. :raises BusyError: one of them has legs. :raises NotFoundError: one is not in it."""
    rows.touch_dvg(work.connection, rows.load_dvg(work.connection, known(name, "dvg")))
    for dpv in _find(work, names):
        if dpv.dvg != name:
            raise NotFoundError(f"dpv {dpv.name} is not in dvg {name}")
        if dpv.used:
            raise BusyError(f"dpv {dpv.name} has legs", hint="evacuate it first")
        rows.save_dpv(work.connection, dpv, replace(dpv, dvg="", evacuating=False))
        work.tell("left", "dvg", name, f"dpv {dpv.name}")
    return told(rows.load_dvg(work.connection, name), 200)


def remove(work: Work, name: str) -> Answer:
    """:raises NotFoundError: there is none. :raises BusyError: dpvs are in it, or dlvs are given out of it."""
    dvg = rows.load_dvg(work.connection, known(name, "dvg"))
    if dvg.dpvs or rows.names_in(work.connection, name):
        raise BusyError(f"dvg {name} has dpvs or dlvs", hint="delete the dlvs, then reduce it by its dpvs")
    rows.remove_dvg(work.connection, dvg)
    work.tell("deleted", "dvg", name)
    return GONE


def _take_in(work: Work, dvg: str, names: Sequence[str]) -> None:
    for dpv in _find(work, names):
        if dpv.dvg not in {"", dvg}:
            raise BusyError(f"dpv {dpv.name} is in dvg {dpv.dvg}", hint="a dpv is in one dvg only")
        if not dpv.dvg:
            rows.save_dpv(work.connection, dpv, replace(dpv, dvg=dvg))
            work.tell("joined", "dvg", dvg, f"dpv {dpv.name}")


def _find(work: Work, names: Sequence[str]) -> list[Dpv]:
    """:raises NotFoundError: one of them is not known."""
    found = rows.find_dpvs(work.connection, [check_name(name, "dpv") for name in names])
    missing = set(names) - {dpv.name for dpv in found}
    if missing:
        raise NotFoundError(f"there is no dpv {min(missing)!r}")
    return found


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The routes of dvgs."""

    @post("/dvgs", responses=answers({201: Dvg}, 400, 404, 409), operation_id="createDvg")
    async def create(request: AnyRequest, data: JSONBody[NewDvg], key: Key = None) -> Response[bytes]:
        """Make a dvg."""
        return await desk.write(request, key, data, lambda work: make(work, data))

    @get("/dvgs", responses=answers({200: Page[Dvg]}, 400), operation_id="listDvgs")
    async def listed(limit: Limit = 100, after: After = "", descending: Descending = False) -> Response[bytes]:
        """List dvgs, in the order of their names."""
        return await desk.page(schema.dvgs, rows.find_dvgs, after=after, limit=limit, descending=descending, filters={})

    @get("/dvgs/{name:str}", responses=answers({200: Dvg}, 400, 404), operation_id="getDvg")
    async def one(name: Named) -> Response[bytes]:
        """One dvg."""
        return give(await desk.read(lambda connection: rows.load_dvg(connection, known(name, "dvg"))))

    @delete(
        "/dvgs/{name:str}", status_code=204, responses=answers({204: None}, 400, 404, 409), operation_id="deleteDvg"
    )
    async def gone(request: AnyRequest, name: Named, key: Key = None) -> Response[None]:
        """Delete a dvg without dpvs and dlvs."""
        return await desk.write(request, key, None, lambda work: remove(work, name))

    @post(
        "/dvgs/{name:str}/extend",
        status_code=200,
        responses=answers({200: Dvg}, 400, 404, 409),
        operation_id="extendDvg",
    )
    async def extended(request: AnyRequest, name: Named, data: JSONBody[Members], key: Key = None) -> Response[bytes]:
        """Put dpvs into a dvg."""
        return await desk.write(request, key, data, lambda work: extend(work, name, data.dpvs))

    @post(
        "/dvgs/{name:str}/reduce",
        status_code=200,
        responses=answers({200: Dvg}, 400, 404, 409),
        operation_id="reduceDvg",
    )
    async def reduced(request: AnyRequest, name: Named, data: JSONBody[Members], key: Key = None) -> Response[bytes]:
        """Take dpvs without legs out of a dvg."""
        return await desk.write(request, key, data, lambda work: reduce(work, name, data.dpvs))

    return [create, listed, one, gone, extended, reduced]
