"""An application out of route handlers: errors become problem documents, every request passes the gate."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler

from drystone.base.errors import DrystoneError, InternalError, NotFoundError, UsageError
from drystone.wire.gate import BODY_LIMIT, BODY_SECONDS, Application, Gate, render

log = logging.getLogger(__name__)

AnyRequest = Request[Any, Any, Any]


def make_application(
    handlers: Sequence[ControllerRouterHandler],
    *,
    body_limit: int = BODY_LIMIT,
    body_seconds: float = BODY_SECONDS,
) -> Application:
    """The ASGI application that serves `handlers`."""
    inner = Litestar(
        route_handlers=list(handlers),
        exception_handlers={
            DrystoneError: _on_error,
            HTTPException: _on_http_error,
            OSError: _on_os_error,
            Exception: _on_defect,
        },
        openapi_config=None,
        logging_config=None,
    )
    return Gate(inner, body_limit=body_limit, body_seconds=body_seconds)  # type: ignore[arg-type]


def request_id_of(request: AnyRequest) -> str:
    """The id that the gate gave the request."""
    return str(request.scope["state"].get("request_id", ""))


def _answer(request: AnyRequest, error: DrystoneError, status: int | None) -> Response[bytes]:
    code, content_type, body = render(error, status, request_id_of(request), request.headers.get("accept", ""))
    return Response(content=body, status_code=code, media_type=content_type)


def _on_error(request: AnyRequest, error: DrystoneError) -> Response[bytes]:
    log.warning("%s %s [%s]: %s", request.method, request.url.path, request_id_of(request), error)
    return _answer(request, error, None)


def _on_http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """What the router itself says: no such route, no such method."""
    status = error.status_code
    known: DrystoneError
    if status == 404:
        known = NotFoundError(f"there is no route {request.method} {request.url.path}")
    elif status < 500:
        known = UsageError(f"{request.method} {request.url.path}: {error.detail}")
    else:
        known = InternalError(error.detail)
    return _answer(request, known, status)


def _on_os_error(request: AnyRequest, error: OSError) -> Response[bytes]:
    """A failure of the machine that nobody below gave a class: its own words, and the trace in the log."""
    log.error("%s %s [%s]", request.method, request.url.path, request_id_of(request), exc_info=error)
    what = f"{error.filename}: " if error.filename else ""
    known = DrystoneError(f"{what}{error.strerror or error}", errno=error.errno)
    return _answer(request, known, None)


def _on_defect(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The supervisor of requests: a defect ends one request, never the daemon."""
    log.error("%s %s [%s]", request.method, request.url.path, request_id_of(request), exc_info=error)
    return _answer(request, InternalError(f"{type(error).__name__}: {error}"), 500)
