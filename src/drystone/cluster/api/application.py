"""The ASGI application: every request passes the gate and shows a token; errors become problem documents."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Litestar, Response, Router
from litestar.connection import ASGIConnection
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotAuthorizedException,
    PermissionDeniedException,
)
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import QueryParameter
from litestar.types import ControllerRouterHandler

from drystone import __version__
from drystone.base.errors import DrystoneError, InternalError, NotFoundError, RefusedError, UsageError
from drystone.cluster.api.description import Description
from drystone.cluster.api.tokens import Tokens
from drystone.cluster.statuses import status_of
from drystone.wire.application import AnyRequest, request_id_of
from drystone.wire.gate import Application, Gate, render

log = logging.getLogger(__name__)

PUBLIC = "public"
"""The option of a route that strangers may use."""
AGENTS = "agents"
"""The option of a route that is for agents, and for nobody else: its answers hold secrets."""

SCHEMA = "/v1/schema"
"""Below it is openapi.json, the description of the API."""


def make_application(
    handlers: Sequence[ControllerRouterHandler], tokens: Tokens, others: Sequence[ControllerRouterHandler] = ()
) -> Application:
    """The application that serves `handlers`, below /v1, and `others`, which are no part of the API, at the root."""
    inner = Litestar(
        route_handlers=[Router("/v1", route_handlers=list(handlers)), *others],
        guards=[_Guard(tokens)],
        exception_handlers={
            DrystoneError: _on_error,
            HTTPException: _on_http_error,
            UnicodeDecodeError: _on_unreadable,
            RecursionError: _on_unreadable,
            Exception: _on_defect,
        },
        openapi_config=OpenAPIConfig(
            title="Drystone cluster",
            version=__version__,
            path=SCHEMA,
            render_plugins=[Description()],
            components=Components(security_schemes={"token": SecurityScheme(type="http", scheme="bearer")}),
            security=[{"token": []}],
            use_handler_docstrings=True,
        ),
        logging_config=None,
    )
    return Gate(inner)  # type: ignore[arg-type]


class _Guard:
    """Lets callers in that are known: viewers may look only, agents use their own routes only.

    The description of the API is for everybody.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if connection.scope.get("method") == "OPTIONS":
            # Litestar answers it for each handler of a path apart: it would name some of the path's methods only.
            raise MethodNotAllowedException(headers={"allow": ", ".join(_methods_of(connection))})
        if connection.url.path.startswith("/v1/"):  # what else is served has its own ways
            _check_query(connection, handler)
        if handler.opt.get(PUBLIC) or connection.url.path.startswith(SCHEMA):
            return
        caller = self._tokens.find(connection.headers.get("authorization", ""))
        if caller is None:
            raise NotAuthorizedException("a token of this cluster is needed: Authorization: Bearer TOKEN")
        if (caller.role == "agent") != bool(handler.opt.get(AGENTS)):
            raise PermissionDeniedException(f"{caller.name} is an {caller.role}: this is for others")
        if caller.role == "viewer" and connection.scope.get("method") not in {"GET", "HEAD"}:
            raise PermissionDeniedException(f"{caller.name} is a viewer")
        connection.scope["state"]["caller"] = caller.name


def _check_query(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Refuse a query that the route does not know: `?dryrun=1`, misspelt, would be a change that nobody wanted."""
    known = {
        field.kwarg_definition.name or name
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(field.kwarg_definition, QueryParameter)
    }
    unknown = connection.query_params.keys() - known
    if unknown:
        hint = f"it has {', '.join(sorted(known))}" if known else "it has none"
        raise UsageError(f"this route has no query parameter {min(unknown)[:100]!r}", hint=hint)


def _methods_of(connection: ASGIConnection[Any, Any, Any, Any]) -> list[str]:
    """The methods of a request's path."""
    here = connection.scope["path_template"]
    methods = connection.app.route_handler_method_map.items()
    found = {method for path, each in methods if path.replace(":str", "") == here for method in each}
    return sorted(found - {"OPTIONS"})


def caller_of(request: AnyRequest) -> str:
    """The name of who asks."""
    return str(request.scope["state"].get("caller", ""))


def _answer(
    request: AnyRequest, error: DrystoneError, status: int, headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    code, content_type, body = render(error, status, request_id_of(request), "application/json")
    return Response(content=body, status_code=code, media_type=content_type, headers=headers)


def _on_error(request: AnyRequest, error: DrystoneError) -> Response[bytes]:
    log.info("%s %s [%s]: %s", request.method, request.url.path, request_id_of(request), error)
    return _answer(request, error, status_of(error))


def _on_http_error(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """What the router says: no such route, no token, a body or parameter that is not what it must be."""
    status = error.status_code
    known: DrystoneError
    if status == 404:
        known = NotFoundError(f"there is no route {request.method} {request.url.path}")
    elif status in {401, 403}:
        known = RefusedError(error.detail)
    elif status < 500:
        found = [_explain(each) for each in error.extra] if isinstance(error.extra, list) else []
        known = UsageError("; ".join(found) or error.detail)
    else:
        return _on_defect(request, error)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else error.headers
    return _answer(request, known, status, headers)


def _on_unreadable(request: AnyRequest, error: Exception) -> Response[bytes]:
    """A body that is not UTF-8, or nested without end: the framework's decoder lets these errors through."""
    log.info("%s %s [%s]: %s", request.method, request.url.path, request_id_of(request), type(error).__name__)
    return _answer(request, UsageError("the body is no JSON that can be read"), 400)


def _explain(fault: Any) -> str:
    """What is wrong with one field, as Litestar tells it."""
    if not isinstance(fault, dict):
        return str(fault)
    key = fault.get("key", "")
    return f"{key}: {fault.get('message', '')}" if key else str(fault.get("message", ""))


def _on_defect(request: AnyRequest, error: Exception) -> Response[bytes]:
    """The supervisor of requests: a defect ends one request, never the server."""
    log.error("%s %s [%s]", request.method, request.url.path, request_id_of(request), exc_info=error)
    return _answer(request, InternalError(f"{type(error).__name__}: {error}"), 500)
