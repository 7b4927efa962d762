"""The daemon's routes, bare and under /v1. Each reads a JSON body (GET and DELETE too) and answers text or JSON.

Handlers run in threads, those that only look in a pool of their own, so that no backup and no mkfs keeps a list
waiting.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.types import ControllerRouterHandler

from drystone.base.documents import decode
from drystone.base.names import new_uuid
from drystone.volumes import previews
from drystone.volumes.backups import Backups
from drystone.volumes.cloning import clone, preview_clone
from drystone.volumes.documents import (
    BackupRequest,
    CloneRequest,
    CreateSnapshot,
    CreateVolume,
    FsckRequest,
    GroupRequest,
    ListVolumes,
    LossDocument,
    Reference,
    RollbackRequest,
    SnapshotRequest,
    VolumeRequest,
    preview_documents,
    read_size,
    spell_time,
)
from drystone.volumes.driver import Preview, Wish
from drystone.volumes.fsck import examine, repair
from drystone.volumes.group_snapshots import create_group, preview_group
from drystone.volumes.rollback import measure, preview_roll_back, roll_back
from drystone.volumes.service import VolumeService
from drystone.volumes.work import Work
from drystone.wire.application import AnyRequest

Kind = TypeVar("Kind")
Value = TypeVar("Value")

_WORKERS = 64
_LOOKERS = 8


class Api:
    """What the routes call: requests in, answers out, in threads."""

    def __init__(self, service: VolumeService, backups: Backups, work: Work) -> None:
        self.service = service
        self.backups = backups
        self.work = work
        self._workers = ThreadPoolExecutor(_WORKERS, "work")
        self._lookers = ThreadPoolExecutor(_LOOKERS, "look")

    def close(self) -> None:
        """Wait for the threads."""
        self._workers.shutdown()
        self._lookers.shutdown()

    async def do(self, call: Callable[[], Value]) -> Value:
        """Run what changes something, on behalf of whoever asked."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._workers, lambda: context.run(call))

    async def look(self, call: Callable[[], Value]) -> Value:
        """Run what only looks."""
        return await asyncio.get_running_loop().run_in_executor(self._lookers, call)

    # The calls, each within a thread

    def create(self, wanted: CreateVolume) -> Response[bytes]:
        """POST /volumes/create."""
        uuid = new_uuid()
        wish = Wish(
            uuid,
            wanted.name,
            read_size(wanted.size),
            wanted.prepare_for_vm,
            wanted.driver_volume_id,
            wanted.type,
            wanted.iops,
        )
        origin = self.backups.origin(wanted.backup_url, wanted.endpoint) if wanted.backup_url else None
        if wanted.dry_run:
            return answer_previews(previews.preview_create(self.service, wish, wanted.driver_name, origin))
        volume = self.service.create(wish, wanted.driver_name, origin)
        return answer_json(self.service.inspect(volume.uuid)) if wanted.verbose else answer_text(volume.uuid)

    def delete(self, wanted: VolumeRequest) -> Response[bytes]:
        """DELETE /volumes/."""
        if wanted.dry_run:
            return answer_previews(
                previews.preview_delete(
                    self.service,
                    wanted.volume_uuid,
                    keep_data=wanted.reference_only,
                    refuse_snapshots=wanted.refuse_snapshots,
                )
            )
        self.service.delete(
            wanted.volume_uuid, keep_data=wanted.reference_only, refuse_snapshots=wanted.refuse_snapshots
        )
        return answer_text("")

    def mount(self, wanted: VolumeRequest) -> Response[bytes]:
        """POST /volumes/mount."""
        if wanted.dry_run:
            return answer_previews(previews.preview_mount(self.service, wanted.volume_uuid, wanted.mount_point))
        volume = self.service.mount(wanted.volume_uuid, wanted.mount_point)
        return answer_json(self.service.inspect(volume.uuid)) if wanted.verbose else answer_text(volume.mount_point)

    def umount(self, wanted: VolumeRequest) -> Response[bytes]:
        """POST /volumes/umount."""
        if wanted.dry_run:
            return answer_previews(previews.preview_umount(self.service, wanted.volume_uuid, force=wanted.force))
        self.service.umount(wanted.volume_uuid, force=wanted.force)
        return answer_text("")

    def create_snapshot(self, wanted: CreateSnapshot) -> Response[bytes]:
        """POST /snapshots/create."""
        if wanted.dry_run:
            return answer_previews(previews.preview_snapshot(self.service, wanted.volume_uuid, wanted.name))
        snapshot = self.service.create_snapshot(wanted.volume_uuid, wanted.name)
        return (
            answer_json(self.service.inspect_snapshot(snapshot.uuid)) if wanted.verbose else answer_text(snapshot.uuid)
        )

    def clone(self, wanted: CloneRequest) -> Response[bytes]:
        """POST /volumes/clone."""
        reference, name, renew = wanted.snapshot_uuid, wanted.name, wanted.renew_uuid
        if wanted.dry_run:
            return answer_previews(preview_clone(self.service, reference, name, renew=renew))
        volume = clone(self.service, reference, name, renew=renew)
        return answer_json(self.service.inspect(volume.uuid)) if wanted.verbose else answer_text(volume.uuid)

    def measure_loss(self, wanted: RollbackRequest) -> Response[bytes]:
        """GET /volumes/rollback."""
        loss = measure(self.service, wanted.volume_uuid, wanted.snapshot_uuid)
        created = spell_time(loss.snapshot.created)
        return answer_json(LossDocument(loss.volume.name, loss.snapshot.name, created, loss.changed))

    def roll_back(self, wanted: RollbackRequest) -> Response[bytes]:
        """POST /volumes/rollback."""
        if wanted.dry_run:
            return answer_previews(preview_roll_back(self.service, wanted.volume_uuid, wanted.snapshot_uuid))
        return answer_json(self.service.inspect(roll_back(self.service, wanted.volume_uuid, wanted.snapshot_uuid).uuid))

    def create_group(self, wanted: GroupRequest) -> Response[bytes]:
        """POST /snapshots/group."""
        if wanted.dry_run:
            return answer_previews(preview_group(self.service, wanted.volumes, wanted.name))
        uuids = [each.uuid for each in create_group(self.service, wanted.volumes, wanted.name)]
        return answer_json([self.service.inspect_snapshot(each) for each in uuids] if wanted.verbose else uuids)

    def delete_snapshot(self, wanted: SnapshotRequest) -> Response[bytes]:
        """DELETE /snapshots/."""
        if wanted.dry_run:
            return answer_previews(previews.preview_delete_snapshot(self.service, wanted.snapshot_uuid))
        self.service.delete_snapshot(wanted.snapshot_uuid)
        return answer_text("")

    def create_backup(self, wanted: BackupRequest) -> Response[bytes]:
        """POST /backups/create."""
        url = self.backups.create(self.service, wanted.snapshot_uuid, wanted.url, wanted.endpoint)
        return answer_json(self.backups.inspect(url, wanted.endpoint)) if wanted.verbose else answer_text(url)

    def fsck(self, wanted: FsckRequest) -> Response[bytes]:
        """POST /fsck."""
        if not wanted.repair:
            return answer_json(examine(self.service))
        return answer_json(repair(self.service, delete_unknown=wanted.delete_unknown))

    def list_backups(self, wanted: BackupRequest) -> Response[bytes]:
        """GET /backups/list."""
        return answer_json(self.backups.list(wanted.url, wanted.volume_uuid, wanted.volume_name, wanted.endpoint))

    def delete_backup(self, wanted: BackupRequest) -> Response[bytes]:
        """DELETE /backups."""
        self.backups.delete(wanted.url, wanted.endpoint)
        return answer_text("")


def answer_json(document: object) -> Response[bytes]:
    """A JSON answer."""
    return Response(msgspec.json.encode(document), status_code=200, media_type="application/json")


def answer_text(text: str) -> Response[bytes]:
    """A plain answer."""
    return Response(text.encode(), status_code=200, media_type="text/plain")


def answer_previews(shown: Sequence[Preview]) -> Response[bytes]:
    """The answer to a request with `DryRun`."""
    return answer_json(preview_documents(shown))


async def read_request(request: AnyRequest, kind: type[Kind]) -> Kind:
    """The body as a request; nothing at all is a request with nothing in it."""
    return decode(await request.body() or b"{}", kind, "request")


def make_handlers(api: Api) -> list[ControllerRouterHandler]:
    """Every route, bare and under /v1."""
    handlers = [*_looking(api), *_volumes(api), *_snapshots(api), *_backups(api)]
    return [*handlers, Router("/v1", route_handlers=handlers)]


def _looking(api: Api) -> list[ControllerRouterHandler]:
    """Routes that change nothing."""
    service = api.service

    @get("/info")
    async def info() -> Response[bytes]:
        return answer_json(await api.look(service.info))

    @get("/uuid")
    async def uuid(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, Reference)
        return answer_json({"UUID": await api.look(lambda: service.find_uuid(wanted.key))})

    @get("/work")
    async def work() -> Response[bytes]:
        return answer_json(api.work.list())

    @get("/volumes/list")
    async def list_volumes(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, ListVolumes)
        return answer_json(await api.look(lambda: service.list_volumes(wanted.driver)))

    @get("/volumes/")
    async def inspect(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, VolumeRequest)
        return answer_json(await api.look(lambda: service.inspect(wanted.volume_uuid)))

    @get("/snapshots/")
    async def inspect_snapshot(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, SnapshotRequest)
        return answer_json(await api.look(lambda: service.inspect_snapshot(wanted.snapshot_uuid)))

    return [info, uuid, work, list_volumes, inspect, inspect_snapshot]


def _volumes(api: Api) -> list[ControllerRouterHandler]:
    @post("/volumes/create")
    async def create(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, CreateVolume)
        return await api.do(lambda: api.create(wanted))

    @delete("/volumes/", status_code=200)
    async def remove(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, VolumeRequest)
        return await api.do(lambda: api.delete(wanted))

    @post("/volumes/mount")
    async def mount(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, VolumeRequest)
        return await api.do(lambda: api.mount(wanted))

    @post("/fsck", status_code=200)
    async def fsck(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, FsckRequest)
        return await api.do(lambda: api.fsck(wanted))

    @post("/volumes/umount")
    async def umount(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, VolumeRequest)
        return await api.do(lambda: api.umount(wanted))

    @post("/volumes/clone", status_code=200)
    async def clone_volume(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, CloneRequest)
        return await api.do(lambda: api.clone(wanted))

    @get("/volumes/rollback")
    async def measure_loss(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, RollbackRequest)
        return await api.do(lambda: api.measure_loss(wanted))

    @post("/volumes/rollback", status_code=200)
    async def roll_back_volume(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, RollbackRequest)
        return await api.do(lambda: api.roll_back(wanted))

    return [create, remove, mount, umount, fsck, clone_volume, measure_loss, roll_back_volume]


def _snapshots(api: Api) -> list[ControllerRouterHandler]:
    @post("/snapshots/create")
    async def create(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, CreateSnapshot)
        return await api.do(lambda: api.create_snapshot(wanted))

    @delete("/snapshots/", status_code=200)
    async def remove(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, SnapshotRequest)
        return await api.do(lambda: api.delete_snapshot(wanted))

    @post("/snapshots/group", status_code=200)
    async def create_group_of(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, GroupRequest)
        return await api.do(lambda: api.create_group(wanted))

    return [create, remove, create_group_of]


def _backups(api: Api) -> list[ControllerRouterHandler]:
    @post("/backups/create")
    async def create(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, BackupRequest)
        return await api.do(lambda: api.create_backup(wanted))

    @get("/backups/list")
    async def list_backups(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, BackupRequest)
        return await api.do(lambda: api.list_backups(wanted))

    @get("/backups/inspect")
    async def inspect(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, BackupRequest)
        return answer_json(await api.do(lambda: api.backups.inspect(wanted.url, wanted.endpoint)))

    @delete("/backups", status_code=200)
    async def remove(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, BackupRequest)
        return await api.do(lambda: api.delete_backup(wanted))

    return [create, list_backups, inspect, remove]
