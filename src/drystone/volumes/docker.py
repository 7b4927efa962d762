"""Docker's volume plugin protocol over the volume service.

Source of the protocol: Docker's documentation, "Docker volume plugins" and "Docker Plugin API" (1.1). A request is a
POST with a JSON object; the answer is 200 with `Err`, which is "" where it went well. A volume is meant by its whole
name. Docker counts nothing: each container's Mount has an `ID`, and so has its Unmount; a volume stays mounted until
the last of them, and whoever mounted it by hand, has let go of it. Who has it is durable before Mount is answered.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

import msgspec
from litestar import Response, post
from litestar.types import ControllerRouterHandler

from drystone.base.documents import decode
from drystone.base.errors import DrystoneError, ExistsError, NotFoundError, UsageError
from drystone.base.names import new_uuid
from drystone.base.sizes import parse_size
from drystone.volumes.backups import Backups
from drystone.volumes.driver import Volume, Wish
from drystone.volumes.routes import Api
from drystone.volumes.service import VolumeService
from drystone.wire.application import AnyRequest

log = logging.getLogger(__name__)

Kind = TypeVar("Kind")

CONTENT_TYPE = "application/vnd.docker.plugins.v1.1+json"

NAMELESS = "-"
"""Who holds a volume by a request without an ID, as Docker sent them before 1.12."""

_BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}


class CreateRequest(msgspec.Struct, rename="pascal"):
    """/VolumeDriver.Create. `Opts` are the words of `docker volume create --opt`."""

    name: str
    opts: dict[str, str] | None = None


class NameRequest(msgspec.Struct, rename="pascal"):
    """/VolumeDriver.Remove, Path and Get."""

    name: str


class HolderRequest(msgspec.Struct, rename="pascal"):
    """/VolumeDriver.Mount and Unmount. `ID` is the container's word for its use of the volume."""

    name: str
    id: str = msgspec.field(default="", name="ID")


class Options(msgspec.Struct, forbid_unknown_fields=True, rename={"endpoint": "s3-endpoint"}):
    """What may stand in `Opts`."""

    size: str = ""
    driver: str = ""
    backup: str = ""
    id: str = ""
    type: str = ""
    iops: str = "0"
    vm: str = ""
    endpoint: str = ""


class DockerPlugin:
    """What the plugin's routes call, in threads.

    :param with_snapshots: `docker volume rm` deletes a volume's snapshots with it; else it is refused.
    """

    def __init__(self, service: VolumeService, backups: Backups, *, with_snapshots: bool = False) -> None:
        self._service = service
        self._backups = backups
        self._with_snapshots = with_snapshots

    def create(self, wanted: CreateRequest) -> dict[str, object]:
        """A volume of that name is there, made now or before. :raises ExistsError: it was made otherwise."""
        options = _read_options(wanted.opts or {})
        if not wanted.name:
            raise UsageError("a volume needs a name")
        size = parse_size(options.size) if options.size else None
        try:
            _check_same(self._service.get_named(wanted.name), size, options.driver)
        except NotFoundError:
            wish = Wish(
                new_uuid(), wanted.name, size, _read_boolean(options.vm), options.id, options.type, _iops(options.iops)
            )
            origin = self._backups.origin(options.backup, options.endpoint) if options.backup else None
            self._service.create(wish, options.driver, origin)
        return {}

    def remove(self, wanted: NameRequest) -> dict[str, object]:
        """:raises RefusedError: it has snapshots. :raises BusyError: it is mounted by hand, or somebody is in it."""
        volume = self._service.get_named(wanted.name)
        # Docker asks for it when no container has the volume. Of those that were running when it was killed, and that
        # did not start again, no Unmount comes: seen of 20.10.24.
        self._service.release(volume.uuid, None)
        self._service.delete(volume.uuid, refuse_snapshots=not self._with_snapshots)
        return {}

    def mount(self, wanted: HolderRequest) -> dict[str, object]:
        """Where it is mounted, for that ID too."""
        volume = self._service.get_named(wanted.name)
        return {"Mountpoint": self._service.mount(volume.uuid, holder=wanted.id or NAMELESS).mount_point}

    def unmount(self, wanted: HolderRequest) -> dict[str, object]:
        """Not for that ID any more. :raises BusyError: it was the last, and somebody is in it."""
        self._service.release(self._service.get_named(wanted.name).uuid, wanted.id or NAMELESS)
        return {}

    def path(self, wanted: NameRequest) -> dict[str, object]:
        """Where it is mounted; "" when it is not."""
        return {"Mountpoint": self._service.get_named(wanted.name).mount_point}

    def get(self, wanted: NameRequest) -> dict[str, object]:
        """What `docker volume inspect` shows: `Status` is the driver's own."""
        volume = self._service.get_named(wanted.name)
        status = self._service.driver_info(volume)
        return {"Volume": {**_document(volume), "CreatedAt": volume.created, "Status": status}}

    def list(self) -> dict[str, object]:
        """All volumes, whoever made them."""
        return {"Volumes": [_document(each) for each in self._service.catalogue.list_volumes()]}


def _document(volume: Volume) -> dict[str, object]:
    return {"Name": volume.name, "Mountpoint": volume.mount_point}


def _read_options(words: dict[str, str]) -> Options:
    """:raises UsageError: an option that there is not, or of which nothing is known."""
    try:
        return msgspec.convert(words, Options)
    except msgspec.ValidationError as error:
        known = ", ".join(each.encode_name for each in msgspec.structs.fields(Options))
        raise UsageError(f"options of a volume: {error}", hint=f"there are {known}") from error


def _read_boolean(text: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise UsageError(f"option vm is {text!r}", hint="true or false")
    return _BOOLEANS[text.lower()]


def _iops(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"option iops is {text!r}, no whole number")
    return int(text)


def _check_same(volume: Volume, size: int | None, driver: str) -> None:
    """:raises ExistsError: the volume is not as it is wished now."""
    if size not in {None, volume.size}:
        raise ExistsError(f"there is a volume {volume.name!r} of {volume.size} bytes, not {size}")
    if driver not in {"", volume.driver}:
        raise ExistsError(f"there is a volume {volume.name!r} of driver {volume.driver}, not {driver}")


def make_plugin_handlers(plugin: DockerPlugin, api: Api) -> list[ControllerRouterHandler]:
    """The plugin's routes. They answer 200 whatever happens, as Docker wants it."""

    async def answer(
        request: AnyRequest, kind: type[Kind], call: Callable[[Kind], dict[str, object]]
    ) -> Response[bytes]:
        try:
            wanted = decode(await request.body() or b"{}", kind, "request")
            return _answer(await api.do(lambda: call(wanted)))
        except DrystoneError as error:
            log.warning("%s: %s", request.url.path, error)
            return _answer({"Err": f"{error.message} ({error.hint})" if error.hint else error.message})

    def route(name: str, kind: type[Kind], call: Callable[[Kind], dict[str, object]]) -> ControllerRouterHandler:
        @post(f"/VolumeDriver.{name}", name=name, status_code=200)
        async def handle(request: AnyRequest) -> Response[bytes]:
            return await answer(request, kind, call)

        return handle

    @post("/Plugin.Activate", status_code=200)
    async def activate() -> Response[bytes]:
        return _answer({"Implements": ["VolumeDriver"]})

    @post("/VolumeDriver.Capabilities", status_code=200)
    async def capabilities() -> Response[bytes]:
        return _answer({"Capabilities": {"Scope": "local"}})

    @post("/VolumeDriver.List", status_code=200)
    async def list_() -> Response[bytes]:
        return _answer(await api.look(plugin.list))

    return [
        activate,
        capabilities,
        list_,
        route("Create", CreateRequest, plugin.create),
        route("Remove", NameRequest, plugin.remove),
        route("Mount", HolderRequest, plugin.mount),
        route("Unmount", HolderRequest, plugin.unmount),
        route("Path", NameRequest, plugin.path),
        route("Get", NameRequest, plugin.get),
    ]


def _answer(document: dict[str, object]) -> Response[bytes]:
    return Response(msgspec.json.encode({"Err": "", **document}), status_code=200, media_type=CONTENT_TYPE)
