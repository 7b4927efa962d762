"""A lab: guests that live as long as a `with` block.

    with Lab(nodes=2, disks=[64 << 20]) as lab:
        one, two = lab.guests
        one.run(["busybox", "ping", "-c", "1", two.address]).check()

`Lab` owns its guests: they end with it, or with the process that made it. A lab that `drystone lab up` has started is
used through `find_lab`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drystone.base.errors import ExhaustedError, TimedOutError, UnavailableError, UsageError
from drystone.base.sizes import format_size
from drystone.lab.command import Command, Result, Sink, feed
from drystone.lab.control import Control, error_from
from drystone.lab.environment import guest_environment
from drystone.lab.folders import (
    check_lab_name,
    claim_folder,
    clear_dead,
    clear_remains,
    make_disks_folder,
    running_labs,
    runtime_root,
    sweep,
)
from drystone.lab.machine import check_memory, check_systemd, find_kernel, find_memory_place
from drystone.lab.modules import plan_modules
from drystone.lab.python import Python
from drystone.lab.spec import BOOT_TIMEOUT, DEFAULT_MEMORY, DiskSpec, Init, LabSpec, NodeSpec, check_counts, check_disks

_SOURCE = str(Path(__file__).resolve().parents[2])
_SUPERVISE = "import sys; sys.path.insert(0, sys.argv[1]); from drystone.lab.supervisor import main; main(sys.argv[2])"
_END_SECONDS = 20.0


class Guest:
    """One node of a lab. The constructor has no effects."""

    def __init__(self, control: Control, name: str, address: str = "") -> None:
        self.name = name
        self.address = address
        self._control = control

    def start(
        self,
        argv: Sequence[str],
        *,
        stdout: Sink,
        stderr: Sink,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        terminal: tuple[int, int] | None = None,
    ) -> Command:
        """Begin a command; see Command for what to do with it. `env` is added to the caller's environment.

        :param terminal: rows and columns of a terminal of its own, on which it gets and puts out everything; None for
            none.
        :raises UnavailableError: the guest is not up. :raises UsageError: no command, or no working directory.
        """
        if not argv:
            raise UsageError("no command was given")
        environment = guest_environment({**os.environ, **(env or {})}, self.name)
        try:
            folder = cwd or str(Path.cwd())
        except FileNotFoundError:
            raise UsageError("the working directory has been removed", hint="cd to one that exists") from None
        connection = self._control.connect()
        request = {"do": "run", "node": self.name, "argv": list(argv), "cwd": folder, "env": environment}
        connection.send({**request, "terminal": terminal})
        return Command(connection, argv, stdout, stderr)

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | str = b"",  # noqa: A002 - the name that subprocess.run has taught
        timeout: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
    ) -> Result:
        """Run a command to its end. `timeout` is in seconds; after it the command is killed.

        :raises TimedOutError: it took longer. :raises UnavailableError: the guest is not up, or went away.
        """
        out, err = bytearray(), bytearray()
        command = self.start(argv, stdout=out.extend, stderr=err.extend, env=env, cwd=cwd)
        try:
            feed(command, input.encode() if isinstance(input, str) else input)
            status = command.pump(timeout)
        except TimedOutError as error:
            raise TimedOutError(
                error.message, stdout=out.decode(errors="replace"), stderr=err.decode(errors="replace")
            ) from None
        finally:
            command.close()
        return Result(tuple(argv), status, bytes(out), bytes(err))

    def python(self) -> Python:
        """A warm interpreter in this guest, not started yet."""
        return Python(self)

    def kill(self) -> None:
        """Cut its power: it stops within an instruction; its disks lose what was not flushed."""
        self._control.ask("kill", node=self.name)

    def boot(self, *, wait: bool = True) -> None:
        """Boot it again, with its disks as they are on stable storage; until it is up, if `wait`.

        :raises TimedOutError: it hangs. :raises UnavailableError: it ended instead.
        """
        self._control.ask("start", node=self.name)
        if wait:
            self._control.ask("wait", nodes=[self.name], timeout=None)

    def cut(self, way: str = "both") -> None:
        """Cut its link: `both` ways, or only what it is `sending` or `receiving`."""
        self._control.ask("cut", node=self.name, way=way)

    def heal(self) -> None:
        """Mend its link."""
        self._control.ask("heal", node=self.name)

    def pause(self) -> None:
        """Stop it in its tracks (SIGSTOP), as a host that hangs."""
        self._control.ask("pause", node=self.name)

    def resume(self) -> None:
        """Let a paused guest go on; its clock goes on by the time that has passed."""
        self._control.ask("resume", node=self.name)

    def state(self) -> str:
        """`booting`, `up`, `down` once its power was cut, or `failed` when it ended by itself."""
        nodes = self._control.ask("status")["nodes"]
        return str(next(each["state"] for each in nodes if each["node"] == self.name))

    def console(self) -> list[str]:
        """The last lines of its console."""
        lines: list[str] = self._control.ask("console", node=self.name)
        return lines


class Lab:
    """Guests with a real kernel. The constructor has no effects; `start` boots, or a `with` block.

    :param nodes: how many, named node1, node2, ...
    :param memory: bytes a node.
    :param disks: of every node: sizes in bytes (sparse files are made and removed with the lab).
    :param node_disks: disks with files of their own, by node name; they stay.
    :param folders: host folders that the guests may write to, at the same path.
    :param modules: kernel modules to load at boot; others are loaded when the kernel asks for them.
    :param name: what `drystone lab --name` calls it; one is made up for "".
    :param owned: it ends with this process; otherwise at `drystone lab down`.
    :param init: "systemd": a guest is up when its agent is; systemd may still be starting what it starts.
    :param over: a host folder whose files the guests see in place of, and besides, this machine's at each boot.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        memory: int = DEFAULT_MEMORY,
        disks: Sequence[int] = (),
        node_disks: Mapping[str, Sequence[DiskSpec]] | None = None,
        folders: Sequence[str | Path] = (),
        modules: Sequence[str] = (),
        name: str = "",
        owned: bool = True,
        boot_timeout: float = BOOT_TIMEOUT,
        log_writes: bool = False,
        init: Init = "agent",
        over: str | Path = "",
    ) -> None:
        self.name = name or f"run-{os.getpid()}-{os.urandom(3).hex()}"
        self.guests: list[Guest] = []
        self._nodes = nodes
        self._memory = memory
        self._disks = tuple(disks)
        self._node_disks = dict(node_disks or {})
        self._folders = tuple(str(Path(each).resolve()) for each in folders)
        self._modules = tuple(modules)
        self._owned = owned
        self._boot_timeout = boot_timeout
        self._log_writes = log_writes
        self._init: Init = init
        self._over = str(Path(over).resolve()) if over else ""
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: Path | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Boot every node and return when all are up.

        :raises UsageError: counts or names that cannot be. :raises UnsupportedError: a package is missing.
        :raises ExhaustedError: too little memory. :raises ExistsError: a lab of that name is up.
        :raises TimedOutError: a boot hangs. :raises UnavailableError: a guest ended while it booted.
        """
        check_lab_name(self.name)
        check_counts(self._nodes, len(self._disks) + max(map(len, self._node_disks.values()), default=0), self._memory)
        kernel = find_kernel()
        if self._init == "systemd":
            check_systemd()
        plan_modules(self._modules, kernel.modules, (kernel.modules / "modules.builtin").read_text().split())
        wanted = self._nodes * self._memory
        check_memory(wanted, Path("/proc/meminfo").read_text())
        memory_place = find_memory_place(wanted)
        if self._over and not Path(self._over).is_dir():
            raise UsageError(f"{self._over} is no folder that could lie over this machine's")
        for folder in self._folders:
            if not Path(folder).is_dir() or not os.access(folder, os.W_OK):
                raise UsageError(f"{folder} is no folder that guests could write to")
        root = runtime_root()
        sweep(root)
        self._folder, lock = claim_folder(root, self.name)
        try:
            spec = self._describe(memory_place)
            self._launch(spec, lock)
        except BaseException:
            clear_remains(self._folder)
            raise
        finally:
            os.close(lock)
        self.guests = [Guest(self.control, node.name, node.address) for node in spec.nodes]
        try:
            self.control.ask("wait", timeout=None)
        except BaseException:
            self.close()
            raise

    @property
    def control(self) -> Control:
        """The lab's control socket."""
        assert self._folder is not None, "the lab was not started"
        return Control(self._folder / "control")

    def _describe(self, memory_place: Path) -> LabSpec:
        assert self._folder is not None
        disks_folder = ""
        if self._disks:
            disks_folder = make_disks_folder(self.name)
            (self._folder / "disks").symlink_to(disks_folder)
        unknown = self._node_disks.keys() - {f"node{port}" for port in range(1, self._nodes + 1)}
        if unknown:
            raise UsageError(f"the lab has no node {min(unknown)!r} to give disks to")
        nodes = []
        for port in range(1, self._nodes + 1):
            name = f"node{port}"
            disks = [
                *(DiskSpec(f"{disks_folder}/{name}-disk{i}", size) for i, size in enumerate(self._disks)),
                *(_with_whole_paths(each) for each in self._node_disks.get(name, ())),
            ]
            if self._log_writes:
                disks = [DiskSpec(each.path, each.size, each.log or f"{each.path}.log") for each in disks]
            nodes.append(NodeSpec(name, port, self._memory, tuple(disks)))
        return LabSpec(
            name=self.name,
            nodes=tuple(nodes),
            folders=self._folders,
            modules=self._modules,
            owned=self._owned,
            boot_timeout=self._boot_timeout,
            memory_place=str(memory_place),
            source=_SOURCE,
            disks_folder=disks_folder,
            init=self._init,
            over=self._over,
        )

    def _launch(self, spec: LabSpec, lock: int) -> None:
        assert self._folder is not None
        disks = [disk for node in spec.nodes for disk in node.disks]
        check_disks(disks)
        for disk in disks:
            _make_disk(disk)
        (self._folder / "lab.json").write_text(json.dumps(spec.to_document()))
        process = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", _SUPERVISE, _SOURCE, str(self._folder)],
            stdin=subprocess.PIPE if self._owned else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=None if self._owned else subprocess.DEVNULL,
            pass_fds=(lock,),
            start_new_session=True,
            cwd="/",
        )
        try:
            _await_begin(process)
        except BaseException:
            process.kill()
            process.wait()
            raise
        self._process = process

    def close(self) -> None:
        """End the guests and leave nothing behind; a lab that has ended already is fine."""
        if self._process is None or self._folder is None:
            return
        if self._process.poll() is None:
            with contextlib.suppress(UnavailableError, TimedOutError):
                self.control.ask("down", timeout=_END_SECONDS)
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._folder.exists():  # the supervisor was killed
            clear_remains(self._folder)
        self._process = None


def _with_whole_paths(disk: DiskSpec) -> DiskSpec:
    """The disk with absolute paths: the guest's kernel has no working folder to start from."""
    log = str(Path(disk.log).resolve()) if disk.log else ""
    return DiskSpec(str(Path(disk.path).resolve()), disk.size, log)


def _make_disk(disk: DiskSpec) -> None:
    """Make the disk's backing file, sparse, unless there is one.

    :raises UsageError: there is one that is too small, or none can be made there. :raises ExhaustedError: no file there
        can be so large.
    """
    path = Path(disk.path)
    try:
        if not path.exists():
            with path.open("xb") as file:
                file.truncate(disk.size)
        held = path.stat().st_size
    except OSError as error:
        if error.errno in {errno.EFBIG, errno.ENOSPC}:
            path.unlink(missing_ok=True)
            raise ExhaustedError(
                f"{path.parent} cannot hold a disk of {format_size(disk.size)}: {error.strerror}",
                hint="a smaller disk, or another TMPDIR",
            ) from error
        raise UsageError(f"no disk can be made at {path}: {error.strerror}") from error
    if held < disk.size:
        raise UsageError(f"{path} has {held} bytes, too few for a disk of {disk.size}")


def _await_begin(process: subprocess.Popen[bytes]) -> None:
    """Until the supervisor says that clients can connect; what keeps it from that is raised."""
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()
    if not line:
        raise UnavailableError(f"the lab's supervisor ended with {process.wait(_END_SECONDS)} before it began")
    answer = json.loads(line)
    if "error" in answer:
        process.wait(_END_SECONDS)
        raise error_from(answer["error"])


def find_lab(name: str) -> tuple[Control, dict[str, Guest]]:
    """A lab that is up: its control socket and its guests by name.

    :raises UnavailableError: no such lab is up; what a dead one of that name has left is cleared away.
    """
    folder = runtime_root() / check_lab_name(name)
    if clear_dead(folder):
        raise UnavailableError(
            f"the lab {name!r} has died; what was left of it is cleared away", hint=f"drystone lab up --name {name}"
        )
    control = Control(folder / "control")
    status: dict[str, Any] = control.ask("status")
    return control, {node["node"]: Guest(control, node["node"], node["address"]) for node in status["nodes"]}


def describe_labs() -> list[dict[str, Any]]:
    """Every lab of this user that is up, as `lab status --json` prints it; what dead ones have left is cleared away."""
    root = runtime_root()
    sweep(root)
    labs = []
    for name in running_labs(root):
        with contextlib.suppress(UnavailableError):  # it ended meanwhile
            labs.append(Control(root / name / "control").ask("status"))
    return labs
