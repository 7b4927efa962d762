"""Follow seed 000's page by hand, so to speak: each command and what it printed, as docs/tutorial/seed-000.md.

    .venv/bin/python scripts/transcript.py > docs/tutorial/seed-000.md

Everything happens in a guest of the lab, as root, in /tmp/demo. Nothing in the output is changed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path("/tmp/demo")
HEAD = """# The page of Convoy's devicemapper driver, typed out

Every command of Convoy's page on device mapper (version 0.3, September 2015), and what it prints here. The block is the
output of `scripts/transcript.py`, which runs it in a guest of the lab. `sudo` is left out: the guest's user is root.

```console"""
TAIL = """```

A failure is `{"Error": "..."}` on stdout, a line on stderr and exit code 1. What each command takes is in
[convoy's reference](../reference/convoy.md)."""


def run(command: str, *, code: int = 0) -> str:
    """Print a command line and what it prints, stderr too; its stdout. It must end with `code`."""
    print(f"$ {command}", flush=True)
    done = subprocess.run(["bash", "-c", command], cwd=FOLDER, capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr, end="", flush=True)
    if done.returncode != code:
        raise SystemExit(f"{command} ended with {done.returncode}, {code} was expected")
    return done.stdout.rstrip("\n")


def note(text: str) -> None:
    """A remark between the commands."""
    print(f"\n# {text}", flush=True)


def serve(command: str) -> subprocess.Popen[bytes]:
    """Print the command line of a daemon, start it, and wait until it answers."""
    print(f"$ {command} &", flush=True)
    with (FOLDER / "log").open("wb") as log:
        daemon = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=FOLDER, stdout=log, stderr=log)
    while subprocess.run(["convoy", "info"], capture_output=True, check=False).returncode:
        if daemon.poll() is not None:
            raise SystemExit((FOLDER / "log").read_text())
        time.sleep(0.2)
    return daemon


def follow() -> None:
    """The page, in its order."""
    note("Calculate the size you need for metadata block device")
    run("convoy-pdata_tools thin_metadata_size -b 2m -s 100G -m 100000 -u M")
    note("Loopback setup")
    run("truncate -s 100G data.vol")
    run("truncate -s 1G metadata.vol")
    data, metadata = run("losetup -f --show data.vol"), run("losetup -f --show metadata.vol")
    note("Start server")
    options = f"--driver-opts dm.datadev={data} --driver-opts dm.metadatadev={metadata}"
    daemon = serve(f"convoy server --drivers devicemapper {options}")
    run("convoy info")
    run("convoy --version")
    note("create: the default size, and a size")
    first = run("convoy create vol1")
    run("convoy create vol2 --size 1G")
    run("convoy inspect vol2")
    run("convoy create vol2 --size 1G", code=1)
    run("convoy create vol3 --size 1000000", code=1)
    note("mount, write, snapshot")
    place = run("convoy mount vol2")
    run(f"echo hello > {place}/file && sync")
    run("convoy snapshot create vol2 --name snap1")
    run("convoy snapshot inspect snap1")
    note("backup; change something; the second backup reads only that")
    run("convoy backup create snap1 --dest vfs:///tmp/demo/backups")
    run(f"echo more > {place}/file2 && sync")
    run("convoy snapshot create vol2 --name snap2")
    url = run("convoy backup create snap2 --dest vfs:///tmp/demo/backups")
    run(f"convoy backup inspect '{url}'")
    run("convoy backup list vfs:///tmp/demo/backups --volume-name vol2")
    note("create --backup: the size is the backup's, another one is refused")
    run(f"convoy create again --size 2G --backup '{url}'", code=1)
    run(f"convoy create again --backup '{url}'")
    run("convoy mount again --mountpoint /tmp/demo/mnt")
    run("cat /tmp/demo/mnt/file /tmp/demo/mnt/file2")
    run("convoy list")
    note("umount, delete")
    run("convoy delete again", code=1)
    run("convoy umount again")
    run("convoy umount vol2")
    run("convoy snapshot delete snap1")
    run(f"convoy backup delete '{url}'")
    run(f"convoy delete {first[:8]} vol2 again")
    run("convoy list")
    daemon.terminate()
    if daemon.wait(60):
        raise SystemExit((FOLDER / "log").read_text())


def main() -> None:
    """Boot a guest and run this file in it; in a guest, follow the page."""
    if "DRYSTONE_LAB_NODE" not in os.environ:
        words = ["-m", "drystone.cli.main", "lab", "run", "--memory", "2G", "--no-stdin", "--", "python", __file__]
        raise SystemExit(subprocess.run([sys.executable, *words], check=False).returncode)
    FOLDER.mkdir()
    print(HEAD, flush=True)
    follow()
    print(TAIL, flush=True)


if __name__ == "__main__":
    main()
