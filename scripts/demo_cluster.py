"""`make demo-cluster`: a volume that outlives one of its servers, typed out command by command.

Four guests of the lab on a network of their own: three storage servers (dpvs), and one machine with the API, the
monitor and the agent of the host that has the volume (ihost). A volume of two copies is made, attached, written to; a
snapshot is taken; in the middle of the writes a storage server loses its power. Nobody does anything about it. The
writer goes on without an error, the lost copies are made anew on the third server, and every block is read back and
compared.

It ends with 0 only if all of that was so and nothing is left at the end. It needs no root: the guests are processes.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from drystone.base.errors import DrystoneError
from drystone.kernel.blockdev import aligned_buffer
from drystone.lab.command import Command
from drystone.lab.lab import Guest, Lab

SCRIPT = Path(__file__).resolve()
BIN = SCRIPT.parent.parent / ".venv" / "bin"
STYLED = sys.stdout.isatty()
BEGUN = time.monotonic()
PATIENCE = 150.0
"""Seconds that anything may take before the demonstration is given up."""
DPVS = ("d1", "d2", "d3")
INITIATOR = "iqn.2026-11.org.example:h1"
FOLDER, DEVICE = "/mnt/db", "/dev/mapper/drystone-dlv-db"
DISK = "/dev/lab/disk0"
"""Of each storage server."""
BLOCK, BLOCKS, STRIDE = 4096, 2048, 17
"""Of the writer: bytes of a block, blocks of its file, and the steps in which it goes through all of them."""


class DemoFailedError(Exception):
    """A step did not do what it should."""


def note(text: str) -> None:
    """A line below a step, with the seconds since the beginning."""
    print(f"  {time.monotonic() - BEGUN:5.1f} s  {text}", flush=True)


def say(text: str) -> None:
    """A step of the story."""
    print(f"\n\033[1m# {text}\033[0m" if STYLED else f"\n# {text}", flush=True)


def await_that(what: str, is_so: Callable[[], object], pause: float = 0.3) -> None:
    """Until it is so, then a note with the time it took. :raises DemoFailedError: it took too long."""
    begun = time.monotonic()
    while not is_so():
        if time.monotonic() > begun + PATIENCE:
            raise DemoFailedError(f"not within {PATIENCE:g} s: {what}")
        time.sleep(pause)
    note(f"{what} ({time.monotonic() - begun:.1f} s)")


# What runs inside a guest


def write_and_verify(path: str) -> None:
    """Write numbered blocks, each durable before the next, until standard input ends; then read each one back.

    A line on stdout every twenty blocks: how many were acknowledged. At the end a JSON object: `writes`, `pauses`
    (seconds of each write that took one or more), `error` ("" for none), `checked`, and `lost`: blocks that are not
    what was acknowledged last.
    """
    stopped = _end_of_input()
    number, error = 0, ""
    pauses: list[float] = []
    acknowledged: dict[int, int] = {}
    buffer = aligned_buffer(BLOCK)
    handle = os.open(path, os.O_RDWR | os.O_DIRECT | os.O_DSYNC | os.O_CLOEXEC)
    try:
        while not stopped.wait(0.02):
            number += 1
            block = number * STRIDE % BLOCKS
            buffer.view(np.uint64)[:] = number
            begun = time.monotonic()
            os.pwrite(handle, buffer.data, block * BLOCK)
            pauses += [took] if (took := round(time.monotonic() - begun, 1)) >= 1 else []
            acknowledged[block] = number
            if number % 20 == 0:
                print(number, flush=True)
    except OSError as failure:
        error = str(failure)
    lost = [block for block, wanted in acknowledged.items() if not _holds(handle, block, wanted)]
    os.close(handle)
    told = {"writes": number, "pauses": pauses, "error": error, "checked": len(acknowledged), "lost": lost}
    print(json.dumps(told), flush=True)


def _end_of_input() -> threading.Event:
    """Set once standard input has ended."""
    ended = threading.Event()

    def await_it() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=await_it, daemon=True).start()
    return ended


def _holds(handle: int, block: int, number: int) -> bool:
    """Whether the block is that number from its first byte to its last, read past the cache."""
    buffer = aligned_buffer(BLOCK)
    try:
        os.preadv(handle, [buffer.data], block * BLOCK)
    except OSError:
        return False
    return bool((buffer.view(np.uint64) == number).all())


def watch(name: str) -> None:
    """Print the dlv as a JSON line whenever its record has changed, until standard input ends. Asks as `dlvm` does."""
    from drystone.cluster.connection import Connection, trusting
    from drystone.cluster.token_file import read_token

    stopped = _end_of_input()
    tls = trusting(Path(os.environ["DRYSTONE_CLUSTER_AUTHORITY"]))
    token = read_token(Path(os.environ["DRYSTONE_CLUSTER_TOKEN"]))
    api = Connection("the API", os.environ["DRYSTONE_CLUSTER_API"], tls=tls, token=token, seconds=30)
    last = b""
    while not stopped.wait(0.5):
        status, data = api.send("GET", f"/v1/dlvs/{name}", None)
        if status == 200 and data != last:
            last = data
            print(json.dumps(json.loads(data)), flush=True)


def show_left(disk: str) -> None:
    """Print as JSON what this guest has of volumes: devices, what it exports, sessions, and legs on its disk."""
    from drystone.cluster.agents.slices import Slices
    from drystone.kernel.dm.device_mapper import KernelDeviceMapper
    from drystone.kernel.iscsi.initiator import OpenIscsi
    from drystone.kernel.lio.configfs import ConfigfsLio

    lio = ConfigfsLio()
    with KernelDeviceMapper() as dm:
        left = {
            "devices": [each.name for each in dm.list_devices()],
            "targets": [str(each) for each in lio.targets()],
            "backstores": [str(each) for each in lio.backstores()],
            "sessions": [each.target for each in OpenIscsi().sessions()],
            "legs": [each.leg for each in Slices(disk).read().slices] if disk else [],
        }
    print(json.dumps(left))


# The servers


class Server:
    """A process that serves in a guest until it is ended."""

    def __init__(self, name: str, guest: Guest, *words: str, env: dict[str, str] | None = None) -> None:
        self.name = name
        self._said, self._log = bytearray(), bytearray()
        self._something = threading.Event()
        self._command: Command = guest.start(words, stdout=self._hear, stderr=self._log.extend, env=env, cwd="/")
        self._command.drain(self._something.set)

    def _hear(self, data: bytes) -> None:
        self._said += data
        self._something.set()

    def await_ready(self) -> None:
        """Until it says so. :raises DemoFailedError: it ended instead, or says nothing."""
        if not self._something.wait(PATIENCE) or not self._said:
            raise DemoFailedError(f"{self.name} did not start:\n{self.log()}")

    def lines(self) -> list[str]:
        """The whole lines that it has printed."""
        return self._said.decode(errors="replace").split("\n")[:-1]

    def has_ended(self) -> bool:
        """Whether it runs no more."""
        return self._command.status is not None

    def log(self) -> str:
        """The end of what it logged."""
        return self._log.decode(errors="replace")[-3000:]

    def end(self) -> int:
        """Have it end; its exit status."""
        self._command.signal(signal.SIGTERM)
        return self._command.wait(PATIENCE)

    def finish(self) -> None:
        """Close its standard input, and wait for its end. :raises DemoFailedError: it failed."""
        self._command.close_input()
        if self._command.wait(PATIENCE):
            raise DemoFailedError(f"the {self.name} failed:\n{self.log()}")


class Demo:
    """The steps, over a lab that is up. :param scratch: a folder of this machine that all guests have too."""

    def __init__(self, scratch: Path, guests: list[Guest]) -> None:
        self.scratch = scratch
        self.dpvs = dict(zip(DPVS, guests, strict=False))
        self.host = guests[-1]
        self.api = f"https://{self.host.address}:9300"
        self.servers: dict[str, Server] = {}
        self.environment = {
            "DRYSTONE_CLUSTER_API": self.api,
            "DRYSTONE_CLUSTER_TOKEN": str(scratch / "alice.token"),
            "DRYSTONE_CLUSTER_AUTHORITY": str(scratch / "authority.pem"),
        }

    def ask(self, guest: Guest, *words: str) -> str:
        """Run a command in a guest; its stdout. :raises DemoFailedError: it failed."""
        done = guest.run(words, env=self.environment, cwd="/", timeout=PATIENCE)
        if done.exit_code:
            why = done.stderr.decode(errors="replace")
            raise DemoFailedError(f"exit code {done.exit_code}: {shlex.join(words)}\n{why}")
        return done.text

    def show(self, *words: str) -> str:
        """Print a command, run it on h1, print what it prints; its stdout. :raises DemoFailedError: it failed."""
        note(f"h1$ {shlex.join(words)}")
        output = self.ask(self.host, *words)
        print(output, end="", flush=True)
        return output

    def start(self) -> None:
        """All agents, the API and the monitor, each with its certificate."""
        say("Each storage server has an empty disk, and an agent that exports slices of it. API and monitor are on h1")
        (self.scratch / "h1").mkdir()
        self.ask(self.host, "sh", "-c", f"echo InitiatorName={INITIATOR} > /etc/iscsi/initiatorname.iscsi")
        database = ("--database", "sqlite:////run/tmp/cluster.db")
        authority = ("--authority", f"{self.scratch}/authority.pem")
        api = ("--listen", f"{self.host.address}:9300", "--tokens", f"{self.scratch}/tokens.toml")
        place = ("--listen", f"{self.host.address}:9401", "--folder", f"{self.scratch}/h1", "--name", "h1")
        known = ("--api", self.api, "--token", f"{self.scratch}/h1.token", "--clients", authority[1])
        pool = ThreadPoolExecutor()
        try:
            agents = [pool.submit(self.start_dpv, name, is_new=True) for name in DPVS]
            self._serve("api1", self.host, "api", *api, *database)
            self.servers["api1"].await_ready()
            self._serve("monitor1", self.host, "monitor", *database, "--patience", "4", *authority)
            self._serve("h1", self.host, "ihost", *place, *known, *authority)
            for name in ("monitor1", "h1"):
                self.servers[name].await_ready()
            for each in agents:
                each.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        note("all six say that they are ready")

    def start_dpv(self, name: str, *, is_new: bool) -> None:
        """The agent of a storage server, over the guest's own disk."""
        guest, folder = self.dpvs[name], self.scratch / name
        folder.mkdir(exist_ok=True)
        if is_new:
            self.ask(guest, "drystone", "cluster", "format", DISK)
        places = ("--portal", f"{guest.address}:3260", "--listen", f"{guest.address}:9400", "--folder", str(folder))
        self._serve(name, guest, "dpv", "--disk", DISK, *places, "--clients", f"{self.scratch}/authority.pem")
        self.servers[name].await_ready()

    def _serve(self, name: str, guest: Guest, *words: str) -> None:
        """Begin to start a server, with the certificate of its name."""
        own = ("--certificate", f"{self.scratch}/{name}.pem", "--key-file", f"{self.scratch}/{name}.key")
        self.servers[name] = Server(name, guest, "drystone", "cluster", *words, *own)

    def register(self) -> None:
        """Have the API know them, and wait for their agents."""
        say("The cluster is told of them; each is used once its agent has answered the monitor")
        for name, guest in self.dpvs.items():
            places = ("--address", f"{guest.address}:9400", "--portal", f"{guest.address}:3260", "--size", "200m")
            self.show("dlvm", "dpvs", "create", name, *places, "--wait")
        place = ("--address", f"{self.host.address}:9401", "--initiator", INITIATOR)
        self.show("dlvm", "ihosts", "create", "h1", *place, "--wait")
        self.show("dlvm", "dvgs", "create", "fast", *DPVS)

    def make_volume(self) -> str:
        """A volume with a file system and a file on it; the file's checksum."""
        say("A volume with two copies of everything, on two of the three servers; then h1 gets it")
        self.show("dlvm", "dlvs", "create", "db", "--dvg", "fast", "--size", "64m", "--mirrors", "2", "--wait")
        self.show("dlvm", "dlvs", "attach", "db", "h1", "--wait")
        note("it is a block device on h1")
        say("A file system, and a file whose checksum is kept")
        self.show("mkfs.ext4", "-q", DEVICE)
        self.show("mkdir", FOLDER)
        self.show("mount", DEVICE, FOLDER)
        self.show("dd", "if=/dev/urandom", f"of={FOLDER}/photo", "bs=1M", "count=8", "conv=fsync", "status=none")
        self.ask(self.host, "dd", "if=/dev/zero", f"of={FOLDER}/log", f"bs={BLOCK}", f"count={BLOCKS}", "conv=fsync")
        return self.show("sha256sum", f"{FOLDER}/photo")

    def write_through_a_loss(self) -> str:
        """A writer, a snapshot, a power cut, new copies; which server died."""
        say("A program on h1 writes numbered blocks, each durable before the next; meanwhile a snapshot is taken")
        watcher = Server("watcher", self.host, "python", str(SCRIPT), "watch", "db", env=self.environment)
        watcher.await_ready()
        writer = Server("writer", self.host, "python", str(SCRIPT), "write", f"{FOLDER}/log")
        self._await_writes(writer, 100)
        self.show("dlvm", "snapshots", "create", "db@monday", "--wait")
        self._await_writes(writer, 50)
        dead = str(next(leg["dpv"] for leg in last_seen(watcher)["legs"] if leg["group"] == 1 and leg["in_sync"]))
        say(f"The power of {dead} is cut, in the middle of a write. Nobody does anything about it")
        before = count_writes(writer)
        self.dpvs[dead].kill()
        note(f"{dead} is off; {before} blocks were acknowledged")
        await_that("the set of copies that count is smaller, by record", lambda: is_left_out(last_seen(watcher), dead))
        self._await_writes(writer, 50)
        note("the writer goes on")
        await_that("new copies are made on the third server, and hold all", lambda: is_whole(last_seen(watcher), dead))
        watcher.finish()
        self.show("dlvm", "dlvs", "show", "db")
        self.show("dlvm", "events", "--kind", "dlv", "--subject", "db")
        self._await_writes(writer, 50)
        writer.finish()
        judge(json.loads(writer.lines()[-1]), before)
        return dead

    def _await_writes(self, writer: Server, more: int) -> None:
        wanted, end = count_writes(writer) + more, time.monotonic() + PATIENCE
        while count_writes(writer) < wanted:
            if time.monotonic() > end or writer.has_ended():
                raise DemoFailedError(f"the writer does not go on: {writer.lines()[-1:]}\n{writer.log()}")
            time.sleep(0.05)

    def check_file(self, checksum: str) -> None:
        """The first file, read anew from the copies."""
        say("The file from before, read from the disks again: its checksum is the same")
        self.show("umount", FOLDER)
        self.show("e2fsck", "-fn", DEVICE)
        self.show("mount", DEVICE, FOLDER)
        if self.show("sha256sum", f"{FOLDER}/photo") != checksum:
            raise DemoFailedError("the file is not what was written")

    def give_up(self, dead: str) -> None:
        """Detach, delete; the dead server comes back, and nothing is left anywhere."""
        say("Detached and deleted")
        self.show("umount", FOLDER)
        self.show("dlvm", "dlvs", "detach", "db", "--wait")
        self.show("dlvm", "dlvs", "delete", "db", "--wait")
        say(f"{dead} gets its power back, and gives up the slices that it still has")
        self.dpvs[dead].boot()
        self.start_dpv(dead, is_new=False)
        await_that(f"nothing is left on {dead}", lambda: not any(self.left(self.dpvs[dead], DISK).values()))
        others = {name: guest for name, guest in self.dpvs.items() if name != dead}
        for name, guest in {**others, "h1": self.host}.items():
            left = self.left(guest, "" if name == "h1" else DISK)
            if any(left.values()):
                raise DemoFailedError(f"{name} has still {left}")
        note("no device, target, session or slice is left on any of the four")
        ends = {name: each.end() for name, each in self.servers.items()}
        if any(ends.values()):
            raise DemoFailedError(f"the servers ended with {ends}")

    def left(self, guest: Guest, disk: str) -> dict[str, list[str]]:
        """See `show_left`."""
        found: dict[str, list[str]] = json.loads(self.ask(guest, "python", str(SCRIPT), "left", disk))
        return found

    def run(self) -> None:
        """All of it."""
        self.start()
        self.register()
        checksum = self.make_volume()
        dead = self.write_through_a_loss()
        self.check_file(checksum)
        self.give_up(dead)


# What is decided


def count_writes(writer: Server) -> int:
    """Blocks that were acknowledged, as the writer has said last."""
    return max((int(line) for line in writer.lines() if line.isdigit()), default=0)


def last_seen(watcher: Server) -> Any:
    """The volume as the cluster has it. :raises DemoFailedError: nobody looks at it any more."""
    if watcher.has_ended():
        raise DemoFailedError(f"the record of the volume is not seen any more:\n{watcher.log()}")
    return json.loads(watcher.lines()[-1])


def is_left_out(dlv: Any, dpv: str) -> bool:
    """Whether no copy on that server counts any more."""
    return not any(leg["in_sync"] for leg in dlv["legs"] if leg["dpv"] == dpv)


def is_whole(dlv: Any, without: str) -> bool:
    """Whether every copy counts, and none is on that server."""
    return all(leg["in_sync"] and leg["dpv"] != without for leg in dlv["legs"])


def judge(told: Any, before: int) -> None:
    """Say how the writer fared. :raises DemoFailedError: a write failed or was lost, or none came after the loss."""
    if told["error"] or told["lost"] or told["writes"] <= before or not told["checked"]:
        raise DemoFailedError(f"the writer says: {told}")
    pauses = ", ".join(f"{each} s" for each in sorted(told["pauses"], reverse=True)) or "none"
    note(f"{told['writes']} writes, no error; writes that waited for a second or longer: {pauses}")
    note(f"all {told['checked']} blocks, read back past the cache, are what was acknowledged last")


# The whole


def make_papers(scratch: Path) -> None:
    """Certificates and tokens, made on this machine. :raises DemoFailedError: a command failed."""
    say("Certificates for six servers, of an authority of our own; a token for alice, and one for the agent of h1")
    host = f"10.77.0.{len(DPVS) + 1}"
    addresses = {"api1": host, "h1": host, **{name: f"10.77.0.{at}" for at, name in enumerate(DPVS, 1)}}
    kinds = {"api1": "api", "h1": "ihost", "monitor1": "monitor", **dict.fromkeys(DPVS, "dpv")}
    words: list[tuple[str, ...]] = [("cert", "authority", "--folder", str(scratch))]
    for name, kind in kinds.items():
        place = ("--address", addresses[name]) if name in addresses else ()
        words.append(("cert", "make", kind, name, "--authority", str(scratch), "--folder", str(scratch), *place))
    for name, role in (("alice", "operator"), ("h1", "agent")):
        files = ("--tokens", f"{scratch}/tokens.toml", "--out", f"{scratch}/{name}.token")
        words.append(("token", name, "--role", role, *files))
    for each in words:
        print(f"$ {shlex.join(('drystone', 'cluster', *each))}", flush=True)
        command = [str(BIN / "drystone"), "cluster", *each]
        done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise DemoFailedError(f"exit code {done.returncode}: {done.stderr}")
    note("made")


def check_machine() -> None:
    """:raises DemoFailedError: what guests need of this machine is missing."""
    places = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    missing = [name for name in ("iscsid", "iscsiadm") if shutil.which(name, path=places) is None]
    if missing:
        raise DemoFailedError(f"{missing[0]} is not installed\n  hint: apt-get install open-iscsi")


def stop(number: int, _: object) -> None:
    """At the first Ctrl-C or SIGTERM: end the demonstration. A further one does not disturb it while it cleans up."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def tell_story() -> None:
    """In a scratch folder and a lab, which are gone afterwards. :raises DemoFailedError: something did not hold."""
    check_machine()
    with tempfile.TemporaryDirectory(prefix="drystone-demo-") as folder:
        scratch = Path(folder).resolve()
        make_papers(scratch)
        say("Four guests of the lab, on a network of their own: d1, d2, d3 at 10.77.0.1 to 3, h1 at 10.77.0.4")
        with Lab(len(DPVS) + 1, memory=512 << 20, disks=[256 << 20], folders=[scratch]) as lab:
            note("they are up")
            demo = Demo(scratch, lab.guests)
            try:
                demo.run()
            except (DemoFailedError, DrystoneError):
                for each in demo.servers.values():
                    print(f"--- log of {each.name}\n{each.log()}", file=sys.stderr)
                raise


def main() -> int:
    """The whole demonstration, or a part of it in a guest."""
    parts = {"write": write_and_verify, "watch": watch, "left": show_left}
    if len(sys.argv) == 3 and sys.argv[1] in parts:
        parts[sys.argv[1]](sys.argv[2])
        return 0
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    try:
        tell_story()
    except KeyboardInterrupt:
        print("\ndemo: ended before its end; nothing is left of it", file=sys.stderr)
        return 130
    except (DemoFailedError, DrystoneError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(f"\nProven: no write failed, none was lost, nothing is left. Done in {time.monotonic() - BEGUN:.1f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
