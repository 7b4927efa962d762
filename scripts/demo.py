"""`make demo`: the main job, typed out command by command against a real kernel.

A thin pool, a volume with a file system and files on it, a snapshot and a full backup, more writes, a second
snapshot and an incremental backup; then the volume is deleted, restored from the backup, and compared byte by byte.

Where this machine's kernel has device-mapper (and this is root) it runs here, on loop devices over sparse files, which
it removes again. Otherwise it boots a guest of the lab and runs there. `--lab` and `--here` choose.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from drystone.base.errors import DrystoneError
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.dm.nodes import remove_node
from drystone.kernel.modules import load_module
from drystone.kernel.mounts import list_mounts, unmount

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
POOL = "drystone-demo"
STYLED = sys.stdout.isatty() or os.environ.get("DRYSTONE_DEMO_STYLED") == "1"


class DemoFailedError(Exception):
    """A step did not do what it should."""


def say(text: str) -> None:
    """A line of the story."""
    print(f"\n\033[1m# {text}\033[0m" if STYLED else f"\n# {text}", flush=True)


def content(number: int) -> bytes:
    """1 MiB for file `number`: half of it random, half of it text."""
    noise = random.Random(number).randbytes(1 << 19)
    return noise + (f"file {number}\n".encode() * (1 << 17))[: 1 << 19]


def has_device_mapper() -> bool:
    """Whether this kernel has thin pools, and lets us."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        return False
    load_module("dm-thin-pool")
    try:
        with KernelDeviceMapper() as dm:
            return any(each.name == "thin-pool" for each in dm.target_versions())
    except (DrystoneError, OSError):
        return False


def run_in_lab() -> int:
    """The same script in a guest."""
    say("This kernel has no device-mapper for us: booting a guest that has one (drystone lab run)")
    styled = "1" if STYLED else "0"
    program = [str(BIN / "python"), str(Path(__file__).resolve()), "--here"]
    command = [str(BIN / "drystone"), "lab", "run", "--memory", "768M", "--"]
    return subprocess.run([*command, "env", f"DRYSTONE_DEMO_STYLED={styled}", *program], check=False).returncode


class Demo:
    """The steps, over a scratch folder and a daemon of its own."""

    def __init__(self, scratch: Path) -> None:
        self.scratch = scratch
        self.socket = scratch / "drystone.sock"
        self.destination = f"vfs://{scratch}/backups"
        self.loops: list[str] = []
        self.daemon: subprocess.Popen[bytes] | None = None

    def show(self, *words: str) -> str:
        """Print a command, run it, print what it prints; its stdout. :raises DemoFailedError: it failed."""
        print("$ " + shlex.join(words), flush=True)
        output = self.ask(*words)
        if output:
            print(output, end="", flush=True)
        return output.strip()

    def ask(self, *words: str) -> str:
        """Run a command; its stdout. :raises DemoFailedError: it failed."""
        environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "DRYSTONE_SOCKET": str(self.socket)}
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise DemoFailedError(f"exit code {done.returncode}: {shlex.join(words)}")
        return done.stdout

    def start(self) -> None:
        """Loop devices and the daemon."""
        say("Two sparse files as disks: one for data, one for the pool's metadata")
        for name, size in (("data", "4G"), ("metadata", "64M")):
            self.show("truncate", "-s", size, f"{self.scratch}/{name}.img")
            self.loops.append(self.show("losetup", "--find", "--show", f"{self.scratch}/{name}.img"))
        say("The daemon makes a thin pool of them")
        words = ["drystone", "volume", "daemon", "--root", f"{self.scratch}/state", "--socket", str(self.socket)]
        words += ["--drivers", "devicemapper", "--driver-opts", f"dm.datadev={self.loops[0]}"]
        words += ["--driver-opts", f"dm.metadatadev={self.loops[1]}", "--driver-opts", f"dm.thinpoolname={POOL}"]
        print("$ " + shlex.join(words) + " &", flush=True)
        log = (self.scratch / "daemon.log").open("wb")
        self.daemon = subprocess.Popen(
            [str(BIN / words[0]), *words[1:]], stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        deadline = time.monotonic() + 60
        while not self.socket.exists():
            if self.daemon.poll() is not None or time.monotonic() > deadline:
                raise DemoFailedError("the daemon did not start:\n" + (self.scratch / "daemon.log").read_text())
            time.sleep(0.05)
        self.show("drystone", "volume", "info")

    def write_files(self, folder: Path, first: int, last: int) -> None:
        """Files of 1 MiB with numbers `first` to `last`, synced."""
        print(f"(writing files {first} to {last} of 1 MiB each below {folder})", flush=True)
        for number in range(first, last + 1):
            (folder / f"file-{number}").write_bytes(content(number))
        os.sync()

    def device_digest(self, volume: str) -> str:
        """SHA-256 of every byte of the volume's device, printed as `sha256sum` does."""
        document = json.loads(self.ask("drystone", "volume", "inspect", volume, "--json"))
        return self.show("sha256sum", document["DriverInfo"]["Device"]).split()[0]

    def run(self) -> None:
        """The main job."""
        self.start()
        say("What a new volume would change in the kernel, before it is changed")
        self.show("drystone", "volume", "create", "db", "--size", "256M", "--dry-run")
        say("A volume with a file system, and files on it")
        self.show("drystone", "volume", "create", "db", "--size", "256M")
        folder = Path(self.show("drystone", "volume", "mount", "db"))
        self.write_files(folder, 1, 40)
        say("A snapshot of the mounted volume, and a full backup of it")
        self.show("drystone", "snapshot", "create", "db", "--name", "monday")
        self.show("drystone", "volume", "backup", "create", "monday", "--dest", self.destination)
        say("More writes, a second snapshot, and an incremental backup: only what changed is read")
        self.write_files(folder, 41, 44)
        self.show("drystone", "volume", "umount", "db")
        before = self.device_digest("db")
        self.show("drystone", "snapshot", "create", "db", "--name", "tuesday")
        url = self.show("drystone", "volume", "backup", "create", "tuesday", "--dest", self.destination)
        self.show("drystone", "backup", "list", self.destination)
        self.show("drystone", "backup", "show", url)
        say("The volume is deleted, with its snapshots")
        self.show("drystone", "volume", "delete", "db", "--with-snapshots")
        self.show("drystone", "volume", "list")
        say("And restored from the incremental backup")
        self.show("drystone", "volume", "create", "db", "--from-backup", url)
        after = self.device_digest("db")
        if before != after:
            raise DemoFailedError(f"the restored volume differs: {before} became {after}")
        folder = Path(self.show("drystone", "volume", "mount", "db"))
        for number in range(1, 45):
            if (folder / f"file-{number}").read_bytes() != content(number):
                raise DemoFailedError(f"file-{number} is not what was written")
        self.show("drystone", "volume", "umount", "db")
        say("Proven: all 256 MiB of the restored volume and all 44 files are equal to what was backed up")
        self.show("drystone", "volume", "delete", "db")

    def clean_up(self) -> None:
        """End the daemon; unmount; remove the pool and what is on it, the loop devices and the files."""
        if self.daemon is not None:
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait(timeout=60)
        for mount in list_mounts():
            if Path(mount.target).is_relative_to(self.scratch):
                unmount(mount.target)
        with KernelDeviceMapper() as dm:
            own = [entry.name for entry in dm.list_devices() if entry.name.startswith(POOL)]
            for name in sorted(own, key=len, reverse=True):  # the pool's own name is the shortest; it goes last
                dm.remove(name)
                remove_node(name)
        for loop in self.loops:
            subprocess.run(["losetup", "--detach", loop], check=False)
        shutil.rmtree(self.scratch, ignore_errors=True)


def run_here() -> int:
    """The steps on this kernel, cleaned up whatever happens."""
    demo = Demo(Path(tempfile.mkdtemp(prefix="drystone-demo-")))
    started = time.monotonic()
    try:
        demo.run()
    except DemoFailedError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    finally:
        demo.clean_up()
    print(f"\nDone in {time.monotonic() - started:.1f} s. Every command above is in .venv/bin; each has --help.")
    return 0


def main() -> int:
    """Choose the place."""
    here = "--here" in sys.argv[1:] or ("--lab" not in sys.argv[1:] and has_device_mapper())
    return run_here() if here else run_in_lab()


if __name__ == "__main__":
    sys.exit(main())
