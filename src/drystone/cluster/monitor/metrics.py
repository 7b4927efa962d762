"""What a monitor tells Prometheus."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from prometheus_client import Metric

from drystone.base.errors import DrystoneError
from drystone.cluster.model.job import ENDED
from drystone.cluster.monitor.tally import Tally
from drystone.cluster.state import overview
from drystone.cluster.state.database import Database
from drystone.wire.exposition import counters, expose, gauge, gauges

log = logging.getLogger(__name__)


def describe(tally: Tally, jobs: Mapping[tuple[str, str], int] | None) -> list[Metric]:
    """The metrics. :param jobs: recorded, by kind and status; None: the database does not say."""
    open_jobs = [(key, number) for key, number in (jobs or {}).items() if key[1] not in ENDED]
    return [
        counters("drystone_monitor_rounds", "Rounds, by what they came to", ("result",),
                 [((result,), number) for result, number in tally.rounds().items()]),
        gauge("drystone_monitor_round_age_seconds", "Seconds since a round that did not fail", tally.round_age()),
        gauges("drystone_monitor_look_age_seconds", "Seconds since the agent at an address answered a look",
               ("address",), [((address,), age) for address, age in tally.look_ages().items()]),
        counters("drystone_monitor_calls", "Calls of agents, by what they came to", ("call", "result"),
                 [*tally.calls().items()]),
        gauges("drystone_monitor_open_jobs", "Jobs that have not ended", ("kind", "status"), open_jobs),
        gauge("drystone_monitor_database_answers", "1 when the database has told of jobs", float(jobs is not None)),
    ]  # fmt: skip


def measure(tally: Tally, database: Database) -> bytes:
    """The text of them now."""
    try:
        jobs = database.read(overview.count_jobs)
    except DrystoneError as error:
        log.info("metrics: %s", error)
        jobs = None
    return expose(describe(tally, jobs))
