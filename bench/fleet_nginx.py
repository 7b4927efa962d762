"""The fleet's S3 against nginx on the same machine: reads of 1 MiB and 1 GiB, writes of 4 KiB, 1 MiB and 512 MiB.

    python bench/fleet_nginx.py [--runs N] [NAME...]

Ours checks every byte it reads, and acknowledges a write when it is durable (fsync) on two disks of two servers, with
MD5 and BLAKE3; nginx sends files as they are, and keeps one copy of what is put (WebDAV) without fsync and sums. What
to check alone costs is shown by a bare server that does nothing else (bench/fleet_floor.py), what the disk itself takes
for two durable copies by two dd's at once, with fdatasync. The client is that of bench/fleet_client.py. All are asked
for the same, in turn. Prints a JSON list as bench/run.py describes it.
"""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from fleet_client import BUCKET, MIB, Case, Server, make_run, measure_all, reading_arguments, run_case, running_fleet
from fleet_floor import serving_floor

from drystone.testing.fleet.mounts import dying
from drystone.testing.fleet.processes import find_port, wait_until

NGINX = """\
worker_processes 2;
daemon off;
pid nginx.pid;
error_log stderr warn;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  client_max_body_size 0;
  client_body_temp_path temporary;
  proxy_temp_path temporary; fastcgi_temp_path temporary; uwsgi_temp_path temporary; scgi_temp_path temporary;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port};
    root files;
    dav_methods PUT;
    create_full_put_path on;
  }}
}}
"""


@contextmanager
def serving_nginx(folder: Path) -> Iterator[int]:
    """nginx over `folder`/files; its port."""
    port = find_port()
    for name in ("files", "temporary"):
        (folder / name).mkdir(parents=True)
        (folder / name).chmod(0o777)  # its workers are nobody when we are root
    (folder / "nginx.conf").write_text(NGINX.format(port=port))
    command = ["nginx", "-p", str(folder), "-c", "nginx.conf", "-e", "stderr"]
    process = subprocess.Popen(dying(command), cwd=folder)
    try:

        def listens() -> bool:
            with socket.socket() as trial:
                return trial.connect_ex(("127.0.0.1", port)) == 0

        wait_until("nginx listens", listens)
        yield port
    finally:
        process.terminate()
        process.wait()


def sign_for_nginx(method: str, key: str, size: int) -> bytes:
    """A request that nobody signs."""
    return f"{method} /{BUCKET}/{key} HTTP/1.1\r\nHost: bench\r\nContent-Length: {size}\r\n\r\n".encode()


def find_peers(nginx: Server, floor: Server, folder: Path, case: Case) -> dict[str, Callable[[], None]]:
    """What a case is compared with. :param floor: over what was put to nginx."""
    peers = {"nginx": make_run(case, nginx)}
    if case.method == "GET" and case.size <= MIB:
        peers["a bare server that checks"] = lambda: run_case(case, floor, 0)
    if case.method == "PUT" and case.size > 100 * MIB:
        peers["two dd with fdatasync"] = partial(write_twice, folder, case.size)
    return peers


def write_twice(folder: Path, size: int) -> None:
    """Two durable copies of `size` bytes, without a network and without sums."""
    copies = [folder / f"copy-{number}" for number in range(2)]
    words = ["dd", "if=/dev/zero", "bs=1M", f"count={size // MIB}", "conv=fdatasync", "status=none"]
    writers = [subprocess.Popen([*words, f"of={copy}"]) for copy in copies]
    assert [writer.wait() for writer in writers] == [0, 0]
    for copy in copies:
        copy.unlink()


def main() -> None:
    """Measure and print."""
    with (
        reading_arguments("The fleet's S3 against nginx.") as asked,
        running_fleet(asked.folder / "fleet") as ours,
        serving_nginx(asked.folder / "nginx") as port,
        serving_floor(asked.folder / "nginx" / "files") as floor_port,
    ):
        nginx, floor = Server(port, sign_for_nginx), Server(floor_port, sign_for_nginx)
        found = measure_all(asked, ours, partial(find_peers, nginx, floor, asked.folder))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
