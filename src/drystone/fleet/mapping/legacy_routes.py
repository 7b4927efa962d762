"""Disk Mapper's own API at the mapper: /api?action=... and the redirects at /api/NAMESPACE/HOST/PATH."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable

from aiohttp import web

from drystone.base.errors import DrystoneError, UsageError
from drystone.fleet.basic import parse_basic
from drystone.fleet.documents import Allocation, Placement
from drystone.fleet.mapping import legacy
from drystone.fleet.mapping.database import NotLeadingError
from drystone.fleet.mapping.desk import Desk
from drystone.fleet.mapping.routes import status_for
from drystone.fleet.mapping.view import View
from drystone.fleet.orders import NewBucket, VbucketOrder

_CONFIGURATIONS: dict[str, Callable[[View], dict[str, object]]] = {
    "get_all_config": lambda view: dict(legacy.all_config(view)),
    "get_host_config": lambda view: dict(legacy.host_config(view)),
    "get_vb_mapping": lambda view: dict(legacy.vb_mapping(view)),
    "get_ss_mapping": lambda view: dict(legacy.ss_mapping(view)),
}
_SELECTIONS = {"get_host_config": "host_name", "get_vb_mapping": "vbucket", "get_ss_mapping": "storage_server"}
"""The parameter that picks one entry of a configuration."""


class LegacyRoutes:
    """The handlers. :param open_to_all: whether no key is needed."""

    def __init__(self, desk: Desk, *, open_to_all: bool) -> None:
        self._desk = desk
        self._open = open_to_all

    def table(self) -> list[web.RouteDef]:
        """Which path goes where."""
        return [web.route("*", "/api", self.handle), web.route("*", "/api/{path:.*}", self.handle)]

    async def handle(self, request: web.Request) -> web.Response:
        """Any request of the legacy API."""
        try:
            await self._desk.do(self._desk.mapper.check_leads)
            if not self._open and not self._has_key(request):
                return _text(401, "A key is needed.", {"WWW-Authenticate": 'Basic realm="drystone"'})
            if request.match_info.get("path"):
                return await self._redirect(request)
            return await self._act(request)
        except NotLeadingError as error:
            if error.url:
                return _text(307, error.url, {"Location": error.url + request.path_qs})
            return _text(503, "No mapper leads.", {"Retry-After": "1"})
        except DrystoneError as error:
            return _text(status_for(error), str(error))

    def _has_key(self, request: web.Request) -> bool:
        """Whether HTTP Basic names a key (any right: what may be done is checked by the storage servers)."""
        access, secret = parse_basic(request.headers.get("Authorization", ""))
        key = self._desk.mapper.model.keys.get(access)
        return key is not None and hmac.compare_digest(key.secret.encode(), secret.encode())

    async def _act(self, request: web.Request) -> web.Response:
        action = request.query.get("action", "")
        mapper = self._desk.mapper
        if action == "get_mapper":
            return _text(200, mapper.url)
        if action == "initialize_vbuckets" and request.method == "POST":
            return await self._initialize(request)
        configuration = _CONFIGURATIONS.get(action)
        if configuration is None:
            return _text(400, "Invalid arguments.")
        document = await self._desk.do(lambda: configuration(mapper.view()))
        wanted = request.query.get(_SELECTIONS.get(action, ""))
        if wanted is None:
            return _json(document)
        if wanted not in document:
            return _text(404, f"{wanted} is not known.")
        return _json(document if action == "get_host_config" else document[wanted])

    async def _initialize(self, request: web.Request) -> web.Response:
        """vbuckets for `namespace`, `per_disk` of `total` a group."""
        try:
            per_disk, total = int(request.query["per_disk"]), int(request.query["total"])
            order = VbucketOrder(request.query["namespace"], per_disk, total)
        except (KeyError, ValueError) as error:
            raise UsageError("namespace, per_disk and total are needed, two of them numbers") from error
        await self._desk.do(lambda: self._desk.orders.make_groups(order))
        return _json(await self._desk.do(lambda: legacy.vb_mapping(self._desk.mapper.view())))

    async def _redirect(self, request: web.Request) -> web.Response:
        """Where the storage server is that has a host."""
        namespace, _, rest = request.match_info["path"].partition("/")
        host = rest.partition("/")[0]
        if not namespace or not host:
            return _text(400, "Invalid arguments.")
        if request.method == "POST":
            placement = await self._desk.do(lambda: self._allocate(namespace, host))
        else:
            found = await self._desk.do(lambda: self._desk.mapper.model.find(namespace, host))
            if found is None:
                return _text(404, "Host not found.")
            placement = found
        url = await self._desk.do(lambda: self._find_url(placement))
        if not url:
            return _text(412, "Both primary and secondary are bad.")
        return _text(302, url + request.raw_path, {"Location": url + request.raw_path})

    def _allocate(self, namespace: str, host: str) -> Placement:
        """Make the namespace too: it then belongs to the legacy policy."""
        mapper = self._desk.mapper
        if namespace not in mapper.model.buckets:
            self._desk.orders.make_bucket(NewBucket(namespace, "exclusive"))
        return mapper.allocate(Allocation(namespace, host))

    def _find_url(self, placement: Placement) -> str:
        """The URL of the server to which requests go, "" when none serves."""
        view = self._desk.mapper.view()
        member = legacy.serving_member(view, placement)
        return view.model.servers[member.server].url if member is not None else ""


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=text, headers=headers)


def _json(document: object) -> web.Response:
    """As the original spelled it: with a blank after each colon and comma."""
    return web.Response(text=json.dumps(document), content_type="application/json")
