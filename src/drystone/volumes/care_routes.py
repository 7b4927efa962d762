"""The daemon's routes about the care of pools and volumes, bare and under /v1."""

from __future__ import annotations

from litestar import Response, Router, get, post
from litestar.types import ControllerRouterHandler

from drystone.volumes import pool_care
from drystone.volumes.documents import PoolRequest
from drystone.volumes.routes import Api, answer_json, answer_previews, read_request
from drystone.wire.application import AnyRequest


def make_care_handlers(api: Api) -> list[ControllerRouterHandler]:
    """Every route of this file."""
    handlers = [*_pools(api)]
    return [*handlers, Router("/v1", route_handlers=handlers)]


def _pools(api: Api) -> list[ControllerRouterHandler]:
    service = api.service

    @get("/pools")
    async def list_pools() -> Response[bytes]:
        return answer_json(await api.look(lambda: pool_care.list_pools(service)))

    @post("/pools/extend", status_code=200)
    async def extend(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, PoolRequest)
        if wanted.dry_run:
            return answer_previews(await api.look(lambda: pool_care.preview_extend(service, wanted.driver)))
        return answer_json(await api.do(lambda: pool_care.extend(service, wanted.driver)))

    return [list_pools, extend]
