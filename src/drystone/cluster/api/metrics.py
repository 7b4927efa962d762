"""The cluster's record as Prometheus text, at an API server: GET /metrics, with a token of a viewer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from litestar import Response, get
from litestar.types import ControllerRouterHandler
from prometheus_client import Metric
from sqlalchemy import Connection, select

from drystone.cluster.api.desk import Desk
from drystone.cluster.model.dpv import Dpv, Ihost
from drystone.cluster.model.extents import EXTENT
from drystone.cluster.queue.publishing import Counts
from drystone.cluster.state import overview, rows, schema
from drystone.wire.exposition import CONTENT_TYPE, counter, expose, gauges

_STATES = ("in_sync", "copying", "behind", "unmade")


class Record(NamedTuple):
    """What is told, of one moment. :ivar event: the number of the newest one."""

    dpvs: list[Dpv]
    ihosts: list[Ihost]
    dlvs: Mapping[str, int]
    attached: Mapping[str, int]
    jobs: Mapping[tuple[str, str], int]
    legs: overview.LegCounts
    event: int


def read(connection: Connection) -> Record:
    """What there is now."""
    return Record(
        rows.find_dpvs(connection),
        rows.find_ihosts(connection),
        overview.count_dlvs(connection),
        overview.count_attached(connection),
        overview.count_jobs(connection),
        overview.count_legs(connection),
        connection.execute(select(schema.event_counter.c.value)).scalar() or 0,
    )


def describe(record: Record) -> list[Metric]:
    """The metrics. Pure."""
    dpvs, ihosts = record.dpvs, record.ihosts
    legs = [((state,), number) for state, number in zip(_STATES, record.legs, strict=True)]
    return [
        gauges("drystone_cluster_dlvs", "Volumes by status", ("status",), [((x,), n) for x, n in record.dlvs.items()]),
        gauges("drystone_cluster_legs", "Legs: in sync, copied to, behind (lacking writes, and nothing copies to them),"
               " or not made", ("state",), legs),
        gauges("drystone_cluster_jobs", "Jobs by kind and status", ("kind", "status"), [*record.jobs.items()]),
        gauges("drystone_cluster_dpv_available", "1 for a dpv that is available", ("dpv", "dvg", "location"),
               [((x.name, x.dvg, x.location), x.status == "available") for x in dpvs]),
        gauges("drystone_cluster_dpv_size_bytes", "Bytes that a dpv offers", ("dpv",),
               [((x.name,), x.extents * EXTENT) for x in dpvs]),
        gauges("drystone_cluster_dpv_used_bytes", "Those of them that were given out", ("dpv",),
               [((x.name,), x.used * EXTENT) for x in dpvs]),
        gauges("drystone_cluster_ihost_available", "1 for an ihost that is available", ("ihost",),
               [((x.name,), x.status == "available") for x in ihosts]),
        gauges("drystone_cluster_ihost_dlvs", "Volumes that an ihost has, or may have", ("ihost",),
               [((x.name,), record.attached.get(x.name, 0)) for x in ihosts]),
        counter("drystone_cluster_events", "Events that were recorded", record.event),
    ]  # fmt: skip


def describe_queue(counts: Counts) -> list[Metric]:
    """The metrics of a broker, as this server has it. Pure."""
    return [
        gauges("drystone_cluster_queue_connected", "1 when the broker took the last hint", (),
               [((), counts.state == "connected")]),
        counter("drystone_cluster_queue_sent", "Hints that the broker has taken from this server", counts.sent),
        counter("drystone_cluster_queue_dropped", "Hints of this server that nobody has", counts.dropped),
    ]  # fmt: skip


def make_handlers(desk: Desk) -> list[ControllerRouterHandler]:
    """The route of metrics."""

    @get("/metrics", include_in_schema=False)
    async def metrics() -> Response[bytes]:
        found = describe(await desk.read(read)) + ([] if desk.queue is None else describe_queue(desk.queue))
        # As a header: a media type that is a text's gets its charset again.
        return Response(expose(found), headers={"Content-Type": CONTENT_TYPE})

    return [metrics]
