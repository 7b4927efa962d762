"""The agents as processes: each serves calls until it is told to end.

Calls are answered at once; what was wished last is brought there beside, as a kernel may wait long for a disk, and a
fence must not wait for that. A process that is killed has done nothing that its next start does not go on with.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Thread
from uuid import uuid4

from drystone.base.errors import DrystoneError, UsageError
from drystone.base.names import check_name
from drystone.cluster.agents.backups import Backups
from drystone.cluster.agents.devices import Devices
from drystone.cluster.agents.door import Agent, MutualTls, serve_agent
from drystone.cluster.agents.dpv import DpvAgent
from drystone.cluster.agents.exposing import exposing
from drystone.cluster.agents.ihost import IhostAgent
from drystone.cluster.agents.logs import RamLogs
from drystone.cluster.agents.measuring import measure_dpv, measure_ihost
from drystone.cluster.agents.meters import Meters
from drystone.cluster.agents.record import ApiRecord
from drystone.cluster.agents.repositories import Repositories
from drystone.cluster.agents.repository_settings import RepositorySettings
from drystone.cluster.agents.restores import Restores
from drystone.cluster.agents.slices import Slices
from drystone.cluster.agents.timeouts import MIRRORED
from drystone.cluster.agents.watch import Watcher
from drystone.cluster.connection import trusting
from drystone.cluster.token_file import read_token
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.iscsi.abc import Timeouts
from drystone.kernel.iscsi.initiator import OpenIscsi
from drystone.kernel.iscsi.names import Portal
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.wire.tcp import wait_for_signal

log = logging.getLogger(__name__)

LOGS = Path("/run/drystone/cluster/logs")
"""Of mirrors: on a tmpfs, as they are of one boot."""
_END_SECONDS = 10.0
"""That the work beside the calls has to come to an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DpvSettings:
    """What a dpv's agent is told once.

    :ivar listen: HOST:PORT. :ivar folder: of its notes, on a disk. :ivar disk: path of the block device with the legs;
        see `format_disk`. :ivar portals: ADDRESS:PORT at which its targets listen.
    :ivar tls: None for plain HTTP, which is served on a loopback address alone, and when `plain` asks for it.
    :ivar metrics: HOST:PORT for Prometheus, "" for nowhere.
    """

    listen: str
    folder: Path
    disk: str
    portals: tuple[str, ...]
    tls: MutualTls | None = None
    plain: bool = False
    metrics: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IhostSettings:
    """What an ihost's agent is told once.

    :ivar listen, folder, tls, plain, metrics: as for a dpv; layers are measured only where there are metrics.
    :ivar name: of this ihost, as the cluster calls it. :ivar api: its URL. :ivar token: the file with this agent's
        token. :ivar authority: PEM of who vouches for the API; the machine's own authorities when None.
    :ivar logs: a folder on a tmpfs. :ivar timeouts: of iSCSI sessions with legs that others stand beside.
    :ivar repositories: that it backs dlvs up to, and restores them from, by name.
    """

    listen: str
    folder: Path
    name: str
    api: str
    token: Path
    authority: Path | None = None
    logs: Path = LOGS
    timeouts: Timeouts = MIRRORED
    tls: MutualTls | None = None
    plain: bool = False
    metrics: str = ""
    repositories: Mapping[str, RepositorySettings] = field(default_factory=dict)


def format_disk(disk: str) -> None:
    """Make a dpv's disk: an empty table of legs on a block device that holds nothing. Durable when it returns.

    :raises BusyError: it is in use, or something is on it. :raises RefusedError: it has a table.
    :raises UsageError: it is too small.
    """
    Slices(disk).format(uuid4())


async def run_dpv_agent(settings: DpvSettings, ready: Callable[[str], None]) -> None:
    """Be the agent of a dpv until SIGTERM or SIGINT; what is exported stays so.

    :param ready: called with the URL once calls are answered.
    :raises DrystoneError: the address, or the files of TLS, cannot be used.
    """
    if not settings.portals:
        raise UsageError("a dpv has one portal at least", hint="such as 10.0.0.1:3260")
    portals = [Portal.parse(each) for each in settings.portals]
    with KernelDeviceMapper() as dm:
        devices = Devices(dm)
        agent = DpvAgent(settings.folder, Slices(settings.disk), devices, ConfigfsLio(), portals)
        async with exposing(lambda: measure_dpv(agent, devices), settings.metrics):
            await _serve(agent, settings, ready, (agent.recover,), Event())


async def run_ihost_agent(settings: IhostSettings, ready: Callable[[str], None]) -> None:
    """Be the agent of an ihost until SIGTERM or SIGINT; what is attached stays so, and holds its writes when a leg
    fails while no agent runs.

    :param ready: called with the URL once calls are answered.
    :raises DrystoneError: the address, the URL of the API, or a file cannot be used.
    """
    record = _open_record(settings)
    stop = Event()
    with KernelDeviceMapper() as dm:
        devices = Devices(dm)
        meters = Meters(dm)
        repositories = Repositories(settings.repositories)

        def leave(dlv: str) -> None:
            restores.leave(dlv)
            backups.leave(dlv)

        agent = IhostAgent(
            settings.folder, devices, OpenIscsi(), RamLogs(settings.logs), timeouts=settings.timeouts,
            measure=meters.begin if settings.metrics else lambda _: None, before_leaving=leave,
        )  # fmt: skip
        backups, restores = Backups(devices, repositories), Restores(devices, repositories, agent.is_to_be_filled)
        watcher = Watcher(agent, devices, record)
        works = (partial(_recover_backups, backups), agent.recover, lambda: watcher.run(stop))
        async with exposing(lambda: measure_ihost(agent, meters), settings.metrics):
            await _serve(agent, settings, ready, works, stop, backups, restores)


def _recover_backups(backups: Backups) -> None:
    try:
        backups.recover()
    except DrystoneError as error:  # whoever takes the dlv down tries again
        log.warning("%s", error)


def _open_record(settings: IhostSettings) -> ApiRecord:
    token = read_token(settings.token)
    tls = trusting(settings.authority) if settings.api.startswith("https:") else None
    return ApiRecord(settings.api, token, check_name(settings.name, "ihost"), tls=tls)


async def _serve(
    agent: Agent,
    settings: DpvSettings | IhostSettings,
    ready: Callable[[str], None],
    works: tuple[Callable[[], None], ...],
    stop: Event,
    backups: Backups | None = None,
    restores: Restores | None = None,
) -> None:
    """Answer calls until a signal comes. :param works: what is done beside, :param stop: and ends when that is set."""
    serving = serve_agent(
        agent, settings.listen, backups=backups, restores=restores, tls=settings.tls, plain=settings.plain
    )
    async with serving as url:
        told = asyncio.create_task(wait_for_signal())
        await asyncio.sleep(0)  # signals are waited for before anybody knows of us
        with _beside(works, stop):
            ready(url)
            await told


@contextmanager
def _beside(works: tuple[Callable[[], None], ...], stop: Event) -> Iterator[None]:
    """Work in threads while the block runs. What a kernel that waits for a disk keeps is left to it at the end."""
    threads = [Thread(target=work, daemon=True) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(_END_SECONDS)
            if thread.is_alive():
                log.warning("%s has not come to its end", thread.name)
