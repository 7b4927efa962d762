"""What a storage server does and how its disks are, as Prometheus text at GET /metrics.

It is open or needs a key as the legacy interface does; the key must have "admin" on "*" (HTTP Basic). A bucket called
"metrics" stays reachable: what S3 clients send has a signature or a query.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from prometheus_client import Metric

from drystone.base.errors import DrystoneError
from drystone.fleet.basic import CHALLENGE, is_administrator, parse_basic
from drystone.fleet.s3.errors import S3Error
from drystone.fleet.storage.catalog import MapCatalog
from drystone.fleet.storage.copying import Copier
from drystone.fleet.storage.reading import Mender
from drystone.fleet.storage.shelf import Bay
from drystone.fleet.storage.smart import SmartWatch
from drystone.fleet.storage.standing import Standings
from drystone.fleet.storage.upkeep import Scrubber, ScrubState
from drystone.kernel.smart import SmartReport
from drystone.wire.exposition import CONTENT_TYPE, counter, counters, expose, gauges
from drystone.wire.tcp import SERVER

if TYPE_CHECKING:
    from aiohttp import web

    Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})
_HEALTHS = ("good", "bad", "missing")
_SCRUB = (
    ("size", "read_bytes", "Bytes that the scrub under way, or the last one, has read"),
    ("began", "began_timestamp_seconds", "When it began"),
    ("ended", "ended_timestamp_seconds", "When it ended, 0 while it goes on"),
    ("damaged", "damaged", "Damaged pieces that it found"),
    ("mended", "mended", "Those that were put right"),
)
"""Fields of ScrubState, and what they are called."""


class Meter:
    """Counts requests, from the start of the process. :param handler: answers those that are no scrape."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self.requests: Counter[tuple[str, str, str]] = Counter()
        """By kind (`s3`, `legacy`, `internal`), method and status; `cut`: it was not answered to its end."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.received: Counter[str] = Counter()
        """Bytes of bodies, by kind."""
        self.sent: Counter[str] = Counter()
        """Bytes of answers with their heads, by kind."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The handler's answer, counted."""
        began, status, unsent = time.monotonic(), "cut", 0
        try:
            response = await self._handler(request)
            if not response.prepared:
                unsent = response.content_length or 0
            if not response.prepared or (request.transport is not None and not request.transport.is_closing()):
                status = str(response.status)
            return response
        finally:
            kind = find_kind(request.raw_path)
            method = request.method if request.method in _METHODS else "other"
            self.requests[kind, method, status] += 1
            self.seconds[kind] += time.monotonic() - began
            self.received[kind] += request.content.total_bytes
            self.sent[kind] += request.writer.output_size + unsent


def find_kind(target: str) -> str:
    """Whom a request is for: `internal`, `legacy` or `s3`."""
    path = target.partition("?")[0]
    if path.startswith("/internal/"):
        return "internal"
    return "legacy" if path == "/api" or path.startswith("/api/") else "s3"


class MetricsFront:
    """The handler of every request: scrapes are answered here, all else is counted and passed on.

    :param open_to_all: whether no key is needed.
    """

    def __init__(
        self, handler: Handler, standings: Standings, mender: Mender, copier: Copier, scrubber: Scrubber,
        smart: SmartWatch, catalog: MapCatalog, *, open_to_all: bool,
    ) -> None:  # fmt: skip
        self._meter = Meter(handler)
        self._standings = standings
        self._mender = mender
        self._copier = copier
        self._scrubber = scrubber
        self._smart = smart
        self._catalog = catalog
        self._open = open_to_all

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer; never raises but when the request is cancelled."""
        from aiohttp import web

        if not is_scrape(request.method, request.raw_path, request.headers.get("Authorization", "")):
            return await self._meter.handle(request)
        if not await self._may(request):
            return web.Response(status=401, headers={"Server": SERVER, "WWW-Authenticate": CHALLENGE})
        headers = {"Server": SERVER, "Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"}
        return web.Response(body=self._render(), headers=headers)

    async def _may(self, request: web.BaseRequest) -> bool:
        if self._open:
            return True
        access, secret = parse_basic(request.headers.get("Authorization", ""))
        try:
            return bool(access) and is_administrator(await self._catalog.find_key(access), secret)
        except (DrystoneError, S3Error):
            return False

    def _render(self) -> bytes:
        placements = [each.placement for each in self._standings.own()]
        own = Counter(
            "leads" if each.leader == self._standings.server else member.state
            for each in placements
            if (member := each.member(self._standings.server)) is not None
        )
        metrics = [
            *describe_requests(self._meter),
            *describe_disks(self._standings.shelf.bays.values(), self._scrubber.states),
            *describe_smart(self._smart.reports()),
            gauges("drystone_storage_placements", "Hosts with a copy here, by what it is", ("state",),
                  [((state,), own[state]) for state in ("leads", "in_sync", "comparing", "copying")]),
            counter("drystone_storage_copied_bytes", "Bytes fetched to complete copies here", self._copier.copied),
            counter("drystone_storage_damaged", "Damaged or lost pieces found, by reads and scrubs",
                    self._mender.damaged),
            counter("drystone_storage_mended", "Damaged or lost pieces put right from another copy",
                    self._mender.mended),
        ]  # fmt: skip
        return expose(metrics)


def is_scrape(method: str, target: str, authorization: str) -> bool:
    """Whether a request asks for the metrics, and not for what an S3 bucket of that name has."""
    return (
        method == "GET"
        and target == "/metrics"
        and (not authorization or authorization.partition(" ")[0].lower() == "basic")
    )


def describe_requests(meter: Meter) -> Iterator[Metric]:
    """Of all requests since the start."""
    yield counters(
        "drystone_storage_requests",
        "Requests that have ended",
        ("kind", "method", "status"),
        sorted(meter.requests.items()),
    )
    sums: tuple[tuple[str, str, Mapping[str, float]], ...] = (
        ("drystone_storage_request_seconds", "Seconds that they took", meter.seconds),
        ("drystone_storage_received_bytes", "Bytes of their bodies", meter.received),
        ("drystone_storage_sent_bytes", "Bytes of their answers", meter.sent),
    )
    for name, text, counts in sums:
        yield counters(name, text, ("kind",), [((kind,), value) for kind, value in sorted(counts.items())])


def describe_disks(bays: Iterable[Bay], scrubs: Mapping[str, ScrubState]) -> Iterator[Metric]:
    """Of each disk as it was last looked at, and how far its scrub came. :param scrubs: by the disk's id."""
    reports = [each.last for each in bays]
    health = Counter[str](each.health for each in reports)
    known = [each for each in reports if each.capacity]
    labels = ("disk",)
    yield gauges(
        "drystone_storage_disks", "Disks by health", ("health",), [((each,), health[each]) for each in _HEALTHS]
    )
    yield gauges("drystone_storage_disk_free_bytes", "Free bytes", labels, [((x.name,), x.free) for x in known])
    yield gauges("drystone_storage_disk_capacity_bytes", "Bytes", labels, [((x.name,), x.capacity) for x in known])
    read = [((each.name,), scrubs[each.disk_id]) for each in reports if each.disk_id in scrubs]
    for field, name, text in _SCRUB:
        rows = [(disk, float(getattr(state, field))) for disk, state in read]
        yield gauges(f"drystone_storage_scrub_{name}", text, labels, rows)


def describe_smart(reports: Mapping[str, Mapping[str, SmartReport]]) -> Iterator[Metric]:
    """Of the machine's disks, as they said last. :param reports: by the name of the fleet's disk, then by theirs."""
    told = [((name, disk), report) for name, disks in sorted(reports.items()) for disk, report in sorted(disks.items())]
    for name, text, values in (
        (
            "passed",
            "1: the disk's self-assessment is good, 0: the disk says that it fails",
            [x.passed for _, x in told],
        ),
        ("unreadable_sectors", "Sectors that could not be read", [x.sectors for _, x in told]),
        ("temperature_celsius", "Its temperature", [x.celsius for _, x in told]),
        ("power_on_hours", "For which it has been on", [x.hours for _, x in told]),
    ):
        rows = [(labels, value) for (labels, _), value in zip(told, values, strict=True)]
        yield gauges(f"drystone_storage_smart_{name}", text, ("disk", "device"), rows)
