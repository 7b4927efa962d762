"""The monitor as a process: rounds until it is told to end.

Calls under way are waited for then, each for as long as `AgentClient` waits; a second signal ends it at once. What was
not finished is gone on with by the next monitor, as after a kill.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from drystone.base.errors import DrystoneError
from drystone.cluster.agents.client import AgentClient
from drystone.cluster.agents.exposing import exposing
from drystone.cluster.connection import ClientTls
from drystone.cluster.monitor.heeding import heeding
from drystone.cluster.monitor.metrics import measure
from drystone.cluster.monitor.rounds import Rounds, Way
from drystone.cluster.monitor.tally import CountedAgent, Tally
from drystone.cluster.state.database import Database
from drystone.wire.tcp import wait_for_signal

log = logging.getLogger(__name__)

_THREADS = 32
_SURVEY_SECONDS = 5.0
"""That the answer to a survey may take, which asks nothing of a disk."""
_LEAST_FORGET_SECONDS, _FORGET_ROUNDS = 60.0, 3.0
"""After which an agent that is not asked any more is left out of the metrics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MonitorSettings:
    """What a monitor is told once.

    :ivar database: a URL, the API's. :ivar name: among monitors; host and process when "".
    :ivar tls: for agents; None for plain HTTP, which they speak on a loopback address alone.
    :ivar pause: seconds between two rounds. :ivar patience: rounds without an answer before it is gone on without a
        dpv, or a host is taken for unavailable. :ivar queue: URL of a broker with hints, "" for those in the database.
    :ivar metrics: HOST:PORT for Prometheus, plain HTTP; "" for nowhere.
    """

    database: str
    name: str = ""
    tls: ClientTls | None = None
    pause: float = 1.0
    patience: int = 10
    queue: str = ""
    metrics: str = ""


async def run_monitor(settings: MonitorSettings, ready: Callable[[str], None]) -> None:
    """Work until SIGTERM or SIGINT.

    :param ready: called with the monitor's name once the database is open.
    :raises DrystoneError: the database or a file cannot be used.
    """
    name = settings.name or f"{socket.gethostname()}-{os.getpid()}"
    if settings.tls is not None:
        settings.tls.context()  # says what is wrong with the files
    database = Database(settings.database)
    await asyncio.to_thread(database.open)
    calls = ThreadPoolExecutor(_THREADS, thread_name_prefix="call")
    surveys = ThreadPoolExecutor(_THREADS, thread_name_prefix="survey")

    tally = Tally(forgets=max(_LEAST_FORGET_SECONDS, _FORGET_ROUNDS * settings.pause))

    @functools.cache  # each reads the certificates
    def call_at(address: str) -> CountedAgent:
        return CountedAgent(AgentClient(address, tls=settings.tls), address, tally)

    @functools.cache
    def survey_at(address: str) -> CountedAgent:
        return CountedAgent(AgentClient(address, tls=settings.tls, seconds=_SURVEY_SECONDS), address, tally)

    rounds = Rounds(
        database, name, Way(call_at, calls.submit), Way(survey_at, surveys.submit), patience=settings.patience
    )
    try:
        async with exposing(lambda: measure(tally, database), settings.metrics):
            ready(name)
            told = asyncio.create_task(wait_for_signal())
            with heeding(rounds, settings.queue, database):
                while not told.done():
                    await asyncio.to_thread(_go, rounds, tally)
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(asyncio.shield(told), settings.pause)
    finally:
        for threads in (surveys, calls):
            threads.shutdown(cancel_futures=True)
        database.close()


def _go(rounds: Rounds, tally: Tally) -> None:
    """One round, counted; that the database failed is told."""
    try:
        tally.count_round("done" if rounds.go() else "idle")
    except DrystoneError as error:
        log.warning("%s", error)
        tally.count_round("failed")
