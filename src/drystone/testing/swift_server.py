"""OpenStack Swift with its S3 interface as one process, for tests: `python -P swift_server.py FOLDER PORT [AHEAD]`.

Runs in the environment that scripts/s3-server makes, where neither drystone nor pytest is; `testing.s3` starts it. The
servers are Swift's own (proxy, account, container, object), each behind a socket on loopback as in a cluster, with one
disk, FOLDER/disk, that survives kills and starts. It needs no root, only user attributes (xattr) in FOLDER's file
system. Prints one line of JSON, {"port"}, when it answers; ends when its stdin ends, so it never outlives its test.

One thing is added. Swift looks whether an object exists when a put comes, and writes it when its bytes are there, with
no lock in between: of 16 that put with If-None-Match: * at the same time, 16 won. Here such puts of one name queue up,
so that the condition holds, as it does on S3, GCS and Azure.

AHEAD: seconds by which the server's clock goes before the machine's.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_KINDS = ("account", "container", "object")

_COMMON = """\
swift_dir = {folder}
devices = {folder}/disk
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
node_timeout = 60
conn_timeout = 10
client_timeout = 60
container_update_timeout = 60
recoverable_node_timeout = 60
log_level = ERROR
"""

_BACKEND = """\
[DEFAULT]
{common}
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
{common}
"""

_PROXY = """\
[DEFAULT]
{common}
[pipeline:main]
pipeline = catch_errors s3api tempauth bulk slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
{common}
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:bulk]
use = egg:swift#bulk
[filter:slo]
use = egg:swift#slo
[filter:s3api]
use = egg:swift#s3api
[filter:tempauth]
use = egg:swift#tempauth
user_test_writer = writing-secret .admin
user_test_stranger = reading-secret
"""

Application = Callable[[dict[str, Any], Any], Iterable[bytes]]


class QueuedCreates:
    """An object server whose conditional puts of one name come one after another."""

    def __init__(self, inner: Application) -> None:
        from eventlet.semaphore import Semaphore

        self._inner = inner
        self._make: Callable[[], Any] = Semaphore
        self._queues: dict[str, tuple[Any, int]] = {}

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        """WSGI."""
        if environ["REQUEST_METHOD"] != "PUT" or environ.get("HTTP_IF_NONE_MATCH") != "*":
            return self._inner(environ, start)
        name = environ["PATH_INFO"]
        queue, waiting = self._queues.get(name, (None, 0))
        queue = queue or self._make()
        self._queues[name] = (queue, waiting + 1)
        try:
            with queue:
                return list(self._inner(environ, start))
        finally:
            waiting = self._queues[name][1] - 1
            self._queues[name] = (queue, waiting)
            if not waiting:
                del self._queues[name]


def write_settings(folder: Path) -> None:
    """Swift's files of settings."""
    (folder / "disk" / "d1").mkdir(parents=True, exist_ok=True)
    (folder / "swift.conf").write_text("[swift-hash]\nswift_hash_path_suffix = drystone\n")
    common = _COMMON.format(folder=folder)
    for kind in _KINDS:
        (folder / f"{kind}.conf").write_text(_BACKEND.format(kind=kind, common=common))
    (folder / "proxy.conf").write_text(_PROXY.format(common=common))


def serve(folder: Path, port: int) -> None:
    """Serve until stdin ends; never returns."""
    import eventlet
    from eventlet import tpool, wsgi
    from swift.common.ring.builder import RingBuilder
    from swift.common.utils import NullLogger, set_swift_dir
    from swift.common.wsgi import SwiftHttpProtocol, loadapp

    write_settings(folder)
    set_swift_dir(str(folder))
    sockets = {}
    for kind in _KINDS:
        sockets[kind] = eventlet.listen(("127.0.0.1", 0))
        at = {"ip": "127.0.0.1", "port": sockets[kind].getsockname()[1]}
        ring = RingBuilder(1, 1, 1)
        ring.add_dev({
            **at, **{f"replication_{key}": value for key, value in at.items()},
            "region": 1, "zone": 1, "device": "d1", "weight": 1.0,
        })  # fmt: skip
        ring.rebalance()
        ring.get_ring().save(str(folder / f"{kind}.ring.gz"))
    sockets["proxy"] = eventlet.listen(("127.0.0.1", port))
    for kind, listening in sockets.items():
        application = loadapp(str(folder / f"{kind}.conf"), global_conf={"log_name": kind})
        eventlet.spawn(
            wsgi.server,
            listening,
            QueuedCreates(application) if kind == "object" else application,
            NullLogger(),
            protocol=SwiftHttpProtocol,
            capitalize_response_headers=False,
            custom_pool=eventlet.GreenPool(1000),
            socket_timeout=60,
        )
    sys.stdout.write(json.dumps({"port": sockets["proxy"].getsockname()[1]}) + "\n")
    sys.stdout.flush()
    tpool.execute(os.read, 0, 1)
    os._exit(0)


def main() -> None:
    """As the module says."""
    if len(sys.argv) > 3:
        ahead, true_time = float(sys.argv[3]), time.time
        time.time = lambda: true_time() + ahead
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import eventlet

        eventlet.monkey_patch()
    warnings.filterwarnings("ignore", message="capitalize_response_headers is disabled")
    serve(Path(sys.argv[1]).absolute(), int(sys.argv[2]))


if __name__ == "__main__":
    main()
