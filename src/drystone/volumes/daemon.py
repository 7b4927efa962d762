"""The daemon: one process that owns a root folder, its catalogue and its pools, and serves them on a unix socket.

SIGTERM: no new request is taken, those in flight finish, the socket is removed, the process ends with 0. Volumes stay
active and mounted: containers that use them go on. The next start finds them as they are.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from drystone.backup.format.slot import Credential
from drystone.base.clock import Clock, SystemClock
from drystone.base.errors import UsageError
from drystone.kernel.filelock import FileLock
from drystone.volumes.catalogue import Catalogue
from drystone.volumes.driver import Driver, Setting
from drystone.volumes.options import parse_options
from drystone.volumes.pools import PoolRecords
from drystone.volumes.registry import find_factories
from drystone.volumes.service import VolumeService
from drystone.wire.sockets import bind_unix

log = logging.getLogger(__name__)

SOCKET_MODE = 0o660


@dataclass(frozen=True, slots=True)
class DaemonSetting:
    """What a daemon is started with.

    :ivar drivers: names, the first is the default.
    :ivar options: the words of --driver-opts, as they were given.
    :ivar mounts: None for a folder of the root.
    :ivar with_snapshots: `docker volume rm` deletes the snapshots of a volume too.
    :ivar credential: of encrypted destinations of backups; None: none is encrypted.
    """

    root: Path
    socket: Path
    drivers: Sequence[str]
    options: Sequence[str]
    mounts: Path | None = None
    credential: Credential | None = None
    with_snapshots: bool = False


def run_daemon(setting: DaemonSetting, ready: Callable[[], None], clock: Clock | None = None) -> None:
    """Serve until SIGTERM or SIGINT.

    :param ready: called when requests are answered.
    :raises UsageError: a wrong option. :raises BusyError: another daemon has the root or the socket.
    """
    clock = clock or SystemClock()
    mounts = setting.mounts or setting.root / "mounts"
    for what, path in (("root", setting.root), ("mounts-dir", mounts)):
        if not path.is_absolute():
            raise UsageError(f"--{what} {path} is no absolute path")
    catalogue = Catalogue(setting.root / "catalogue.db", clock)
    drivers = make_drivers(setting, mounts, clock, catalogue)
    for what, path, mode in (("root", setting.root, 0o700), ("mounts-dir", mounts, 0o755)):
        try:
            path.mkdir(parents=True, exist_ok=True, mode=mode)
        except (FileExistsError, NotADirectoryError) as error:
            raise UsageError(f"--{what} {path} is no folder") from error
    lock = FileLock(setting.root / "lock")
    lock.take(f"the root {setting.root}")
    try:
        handle = bind_unix(setting.socket, mode=SOCKET_MODE)
        try:
            catalogue.open()
            service = VolumeService(setting.root, mounts, catalogue, drivers, clock)
            service.start()
        except BaseException:
            handle.close()
            setting.socket.unlink(missing_ok=True)
            raise
        try:
            _serve(service, handle, setting, ready)
        finally:
            service.stop()
    finally:
        lock.release()


def _serve(service: VolumeService, handle: socket.socket, setting: DaemonSetting, ready: Callable[[], None]) -> None:
    """Answer requests until a signal ends it."""
    # Imported once the service is up: the web libraries take most of a start, and one that is refused should say so
    # at once.
    from drystone.volumes.acting import Acting
    from drystone.volumes.backups import Backups
    from drystone.volumes.care_routes import make_care_handlers
    from drystone.volumes.docker import DockerPlugin, make_plugin_handlers
    from drystone.volumes.pool_care import list_pools
    from drystone.volumes.pool_watch import PoolWatch
    from drystone.volumes.routes import Api, make_handlers
    from drystone.volumes.schedule_routes import make_schedule_handlers
    from drystone.volumes.schedules import Schedules
    from drystone.volumes.work import Work
    from drystone.wire.application import make_application
    from drystone.wire.server import serve_unix

    work = Work()
    backups = Backups(service.clock, work, setting.credential)
    api = Api(service, backups, work)
    plugin = DockerPlugin(service, backups, with_snapshots=setting.with_snapshots)
    schedules = Schedules(service, backups)
    handlers = [*make_handlers(api), *make_care_handlers(api), *make_schedule_handlers(api, schedules)]
    handlers += make_plugin_handlers(plugin, api)
    try:
        with PoolWatch(lambda: list_pools(service)).watching(), schedules.running():
            serve_unix(Acting(make_application(handlers)), handle, setting.socket, ready)
    finally:
        api.close()


def make_drivers(setting: DaemonSetting, mounts: Path, clock: Clock, pools: PoolRecords) -> dict[str, Driver]:
    """The drivers that are asked for; nothing is started. :raises UsageError: a wrong name or option."""
    found = find_factories(setting.drivers, parse_options(setting.options))
    return {
        name: factory.make(Setting(setting.root / name, mounts, options, clock, pools))
        for name, (factory, options) in found.items()
    }
