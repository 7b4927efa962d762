"""The daemon's routes about the care of pools and volumes, bare and under /v1."""

from __future__ import annotations

from litestar import Response, Router, get, post
from litestar.types import ControllerRouterHandler

from drystone.volumes import pool_care, previews, trimming
from drystone.volumes.documents import AuditRequest, ForecastRequest, PoolRequest, ResizeRequest, TrimRequest, read_size
from drystone.volumes.forecasting import forecast_backup
from drystone.volumes.routes import Api, answer_json, answer_previews, answer_text, read_request
from drystone.wire.application import AnyRequest


def make_care_handlers(api: Api) -> list[ControllerRouterHandler]:
    """Every route of this file."""
    handlers = [*_pools(api), *_volumes(api)]
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

    @get("/metrics")
    async def metrics() -> Response[bytes]:
        # Prometheus' library is imported when somebody asks: most daemons are never asked, and each start would wait.
        from drystone.volumes.metrics import render_metrics
        from drystone.wire.exposition import CONTENT_TYPE

        text = await api.look(lambda: render_metrics(service, api.work))
        return Response(text, status_code=200, media_type=CONTENT_TYPE)

    @get("/audit")
    async def audit(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, AuditRequest)
        return answer_json(await api.look(lambda: service.catalogue.list_audit(wanted.subject, wanted.most)))

    return [list_pools, extend, metrics, audit]


def _volumes(api: Api) -> list[ControllerRouterHandler]:
    service = api.service

    def change_size(wanted: ResizeRequest) -> Response[bytes]:
        size, filesystem = read_size(wanted.size), not wanted.keep_filesystem
        if wanted.dry_run:
            return answer_previews(previews.preview_resize(service, wanted.volume_uuid, size, filesystem=filesystem))
        volume = service.resize(wanted.volume_uuid, size, filesystem=filesystem)
        return answer_json(service.inspect(volume.uuid)) if wanted.verbose else answer_text("")

    @post("/volumes/resize", status_code=200)
    async def resize(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, ResizeRequest)
        return await api.do(lambda: change_size(wanted))

    @post("/volumes/trim", status_code=200)
    async def trim(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, TrimRequest)
        return answer_json(await api.do(lambda: trimming.trim(service, wanted.names)))

    @get("/volumes/forecast")
    async def forecast(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, ForecastRequest)
        return answer_json(
            await api.do(lambda: forecast_backup(service, api.backups, wanted.volume_uuid, wanted.url, wanted.endpoint))
        )

    return [resize, trim, forecast]
