"""An agent's HTTP: PUT /v1/dlvs/ID with a wish, GET of one dlv or of all that is seen, PUT and DELETE of
/v1/backups/ID and PUT of /v1/restores/ID at an ihost, problem documents.

Over TLS, and only for who has a certificate of the cluster's authority that is made for clients: the API. Plain HTTP is
for one machine alone, on a loopback address, and when it is asked for.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from drystone.base.documents import decode
from drystone.base.errors import DrystoneError, NotFoundError, UsageError
from drystone.cluster.agents.answers import Survey
from drystone.cluster.model.backup import BackupSeen, BackupWish, RestoreWish
from drystone.cluster.statuses import status_of
from drystone.wire.problems import CONTENT_TYPE, to_problem
from drystone.wire.revocation import heed_list
from drystone.wire.tcp import Limits, TlsFiles, end_after, is_loopback, iterate_body, parse_address, serve_tcp

if TYPE_CHECKING:
    from aiohttp import web

log = logging.getLogger(__name__)

BODY_LIMIT = 4 << 20
"""Bytes of a wish: one of 16 stripes of 3 copies in a hundred groups is smaller."""
_CALLS = 64
"""At one time. Each has a thread, which a kernel that waits for a disk may keep."""
_PLACE = "/v1/dlvs"
_BACKUPS = "/v1/backups"
_RESTORES = "/v1/restores"
_LIMITS = Limits()


class Agent(Protocol):
    """What a door leads to."""

    @property
    def kind(self) -> type[Any]: ...

    def put(self, wish: Any) -> msgspec.Struct: ...

    def look(self, dlv: str) -> msgspec.Struct: ...

    def survey(self) -> Survey: ...


@dataclass(frozen=True, slots=True)
class MutualTls(TlsFiles):
    """TLS that lets in who has a certificate, for clients, of the authority in the file `clients` (PEM), unless that is
    on the list of revoked ones in it.
    """

    clients: Path

    def context(self) -> ssl.SSLContext:
        made = TlsFiles.context(self)
        try:
            made.load_verify_locations(self.clients)
            heed_list(made, self.clients)
        except (OSError, ssl.SSLError) as error:
            raise UsageError(f"certificates of {self.clients}: {error}") from error
        made.verify_mode = ssl.CERT_REQUIRED
        return made


class Backups(Protocol):
    """What makes backups, where there is that."""

    def put(self, wish: BackupWish) -> BackupSeen: ...

    def stop(self, backup: str) -> None: ...


class Restores(Protocol):
    """What fills dlvs from backups, where there is that."""

    def put(self, wish: RestoreWish) -> BackupSeen: ...


@asynccontextmanager
async def serve_agent(
    agent: Agent,
    listen: str,
    *,
    backups: Backups | None = None,
    restores: Restores | None = None,
    tls: MutualTls | None = None,
    plain: bool = False,
) -> AsyncIterator[str]:
    """Answer calls while the block runs; its URL. :param plain: without TLS, for this machine alone.

    :raises UsageError: neither TLS nor `plain`, or `plain` on an address that others can reach. And as `serve_tcp`.
    """
    if tls is None and not (plain and is_loopback(parse_address(listen)[0])):
        raise UsageError(
            "an agent serves with TLS and a client's certificate only",
            hint="or plainly, when that is asked for, on a loopback address",
        )
    with ThreadPoolExecutor(_CALLS, "call") as threads:
        async with serve_tcp(_make_handler(agent, backups, restores, threads), listen, tls=tls) as url:
            yield url


def _make_handler(
    agent: Agent, backups: Backups | None, restores: Restores | None, threads: ThreadPoolExecutor
) -> Callable[[web.BaseRequest], Any]:  # fmt: skip
    from aiohttp import web

    async def do(action: Callable[[], object]) -> web.Response:
        document = await asyncio.get_running_loop().run_in_executor(threads, action)
        return web.Response(body=msgspec.json.encode(document), content_type="application/json")

    async def route(request: web.BaseRequest) -> web.Response:
        dlv = request.path.removeprefix(f"{_PLACE}/")
        match request.method, request.path:
            case "GET", "/v1/health":
                return web.json_response({"status": "ok"})
            case "GET", "/v1/dlvs":
                return await do(agent.survey)
            case "GET", path if path.startswith(f"{_PLACE}/"):
                return await do(lambda: agent.look(dlv))
            case "PUT", path if path.startswith(f"{_PLACE}/"):
                wish = decode(await _read_body(request), agent.kind, "the wish")
                if wish.dlv != dlv:
                    raise UsageError(f"the wish is for another dlv than the path, {dlv[:80]!r}")
                return await do(lambda: agent.put(wish))
        return await do(await _find_lasting(request, backups, restores))

    async def handle(request: web.BaseRequest) -> web.Response:
        try:
            return await route(request)
        except DrystoneError as error:
            log.info("%s %s: %s", request.method, request.path, error)
            answer = _refuse(error)
        except OSError as error:
            log.exception("%s %s", request.method, request.path)
            answer = _refuse(DrystoneError(f"{error.filename or 'the machine'}: {error.strerror or error}"))
        end_after(request, answer)
        return answer

    return handle


async def _find_lasting(
    request: web.BaseRequest, backups: Backups | None, restores: Restores | None
) -> Callable[[], object]:
    """What is asked of work that lasts. :raises UsageError: it is no wish. :raises NotFoundError: no such route."""
    if backups is not None and request.path.startswith(f"{_BACKUPS}/"):
        return await _find_action(request, backups)
    if restores is not None and request.method == "PUT" and request.path.startswith(f"{_RESTORES}/"):
        return await _find_restore(request, restores)
    raise NotFoundError(f"there is no route {request.method} {request.path[:200]}")


async def _find_action(request: web.BaseRequest, backups: Backups) -> Callable[[], object]:
    """What is asked of a backup. :raises UsageError: it is no wish. :raises NotFoundError: there is no such route."""
    backup = request.path.removeprefix(f"{_BACKUPS}/")
    if request.method == "PUT":
        wish = decode(await _read_body(request), BackupWish, "the wish")
        if wish.id != backup:
            raise UsageError(f"the wish is for another backup than the path, {backup[:80]!r}")
        return lambda: backups.put(wish)
    if request.method == "DELETE":

        def stop() -> dict[str, str]:
            backups.stop(backup)
            return {"stopped": backup}

        return stop
    raise NotFoundError(f"there is no route {request.method} {request.path[:200]}")


async def _find_restore(request: web.BaseRequest, restores: Restores) -> Callable[[], object]:
    """What is to be restored. :raises UsageError: it is no wish."""
    wish = decode(await _read_body(request), RestoreWish, "the wish")
    if wish.id != (restore := request.path.removeprefix(f"{_RESTORES}/")):
        raise UsageError(f"the wish is for another restore than the path, {restore[:80]!r}")
    return lambda: restores.put(wish)


async def _read_body(request: web.BaseRequest) -> bytes:
    """:raises UsageError: it is larger than BODY_LIMIT, of which no more is read."""
    parts, size = [], 0
    async for part in iterate_body(request, _LIMITS):
        size += len(part)
        if size > BODY_LIMIT:
            raise UsageError(f"the body is larger than {BODY_LIMIT} bytes")
        parts.append(part)
    return b"".join(parts)


def _refuse(error: DrystoneError) -> web.Response:
    from aiohttp import web

    status = status_of(error)
    body = msgspec.json.encode(to_problem(error, status=status))
    return web.Response(status=status, body=body, content_type=CONTENT_TYPE)
