"""Routes of schedules: GET, POST and DELETE /schedules, POST /schedules/pause."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from litestar import Response, Router, delete, get, post
from litestar.types import ControllerRouterHandler

from drystone.base.errors import UsageError
from drystone.volumes.driver import Preview
from drystone.volumes.routes import Api, answer_json, answer_previews, answer_text, read_request
from drystone.volumes.schedule import Schedule, Wish, next_run, parse_every, spell_every
from drystone.volumes.schedules import Schedules
from drystone.wire.application import AnyRequest


class AddSchedule(msgspec.Struct, rename="pascal"):
    """POST /schedules. `Every` (1h) or `Cron`; `Snapshots` and `Backups` say what to keep (24, or last=24,daily=7)."""

    volume_uuid: str = msgspec.field(default="", name="VolumeUUID")
    name: str = ""
    every: str = ""
    cron: str = ""
    snapshots: str = ""
    url: str = msgspec.field(default="", name="URL")
    endpoint: str = ""
    backups: str = ""
    dry_run: bool = False


class ScheduleRequest(msgspec.Struct, rename="pascal"):
    """DELETE /schedules, POST /schedules/pause."""

    name: str = ""
    paused: bool = True


class ScheduleDocument(msgspec.Struct, frozen=True):
    """A schedule as it is told. Times are ISO 8601 with offset, "" for none; `url` "" for no backups.

    :ivar every, cron: one of them. :ivar problem: why the last run failed, `failures` times in a row.
    """

    name: str
    volume: str
    every: str
    cron: str
    snapshots: str
    url: str
    backups: str
    paused: bool
    next: str
    last: str
    failures: int
    problem: str


def make_schedule_handlers(api: Api, schedules: Schedules) -> list[ControllerRouterHandler]:
    """Every route, bare and under /v1."""

    @get("/schedules")
    async def list_() -> Response[bytes]:
        return answer_json(await api.look(lambda: _list(api, schedules)))

    @post("/schedules", status_code=200)
    async def add(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, AddSchedule)
        return await api.do(lambda: _add(api, schedules, wanted))

    @delete("/schedules", status_code=200)
    async def remove(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, ScheduleRequest)
        await api.do(lambda: schedules.remove(wanted.name))
        return answer_text("")

    @post("/schedules/pause", status_code=200)
    async def pause(request: AnyRequest) -> Response[bytes]:
        wanted = await read_request(request, ScheduleRequest)
        await api.do(lambda: schedules.pause(wanted.name, paused=wanted.paused))
        return answer_text("")

    handlers: list[ControllerRouterHandler] = [list_, add, remove, pause]
    return [*handlers, Router("/v1", route_handlers=handlers)]


def _list(api: Api, schedules: Schedules) -> list[ScheduleDocument]:
    names = {each.uuid: each.name for each in api.service.catalogue.list_volumes()}
    return [_document(schedules, each, names.get(each.volume, "")) for each in schedules.records.list()]


def _document(schedules: Schedules, schedule: Schedule, volume: str) -> ScheduleDocument:
    wish, state = schedule.wish, schedule.state
    due = schedules.next_of(schedule)
    return ScheduleDocument(
        schedule.name,
        volume,
        spell_every(wish.every) if wish.every else "",
        wish.cron,
        wish.snapshots,
        wish.url,
        wish.backups,
        state.paused,
        due.isoformat(timespec="seconds") if due else "",
        state.last,
        state.failures,
        state.problem,
    )


def _add(api: Api, schedules: Schedules, wanted: AddSchedule) -> Response[bytes]:
    if bool(wanted.every) == bool(wanted.cron):
        raise UsageError("a schedule has an interval or a line of cron", hint="--every 1h, or --cron '0 3 * * *'")
    if wanted.backups and not wanted.url:
        raise UsageError("it is said which backups to keep, and not where they go", hint="--backup vfs:///srv/backup")
    wish = Wish(
        every=parse_every(wanted.every) if wanted.every else 0,
        cron=wanted.cron,
        snapshots=wanted.snapshots,
        url=wanted.url,
        endpoint=wanted.endpoint,
        backups=wanted.backups,
        created=api.service.now(),
    )
    if wanted.dry_run:
        return answer_previews([_preview(schedules.plan(wanted.volume_uuid, wanted.name, wish))])
    schedule = schedules.add(wanted.volume_uuid, wanted.name, wish)
    return answer_json(_document(schedules, schedule, api.service.find_volume(schedule.volume).name))


def _preview(schedule: Schedule) -> Preview:
    """When its first runs are, and what one does."""
    wish, words = schedule.wish, []
    moment = datetime.fromisoformat(wish.created)
    for _ in range(3):
        moment = next_run(schedule, moment) if wish.cron else moment + timedelta(seconds=wish.every)
        schedule = msgspec.structs.replace(
            schedule, state=msgspec.structs.replace(schedule.state, last=moment.isoformat())
        )
        words.append(f"at {moment.isoformat(timespec='seconds')}: snapshot {schedule.name}-YYYYMMDD-HHMMSS")
    words.append(f"of its own snapshots it keeps {wish.snapshots}; others are not touched")
    if wish.url:
        kept = f"of its own backups it keeps {wish.backups}" if wish.backups else "backups stay"
        words.append(f"each snapshot is backed up to {wish.url}; {kept}")
    return Preview("", tuple(words))
