"""The agent: a guest's first process once it is up. It runs commands that arrive on the serial line.

From the host, every frame with the number `id` of a run:

    {"do": "run", "argv": [...], "cwd": text, "env": {...}}     begin; "terminal": [rows, columns] gives it one
    {"do": "resize", "terminal": [rows, columns]}               of its terminal
    {"do": "in"} + payload, {"do": "eof"}                       its standard input
    {"do": "signal", "number": n}                               to its process group
    {"do": "ack", "bytes": n}                                   so many bytes of its output have been taken
    {"do": "sync"}                                              write the host's folders back

To the host:

    {"event": "up"}                                             the guest is ready
    {"event": "took", "bytes": n}                               so many bytes were read from the line
    {"event": "out" or "err"} + payload                         its output
    {"event": "ack", "bytes": n}                                so much of its input has been taken
    {"event": "exit", "status": n}                              exit code, or minus the signal's number
    {"event": "refused", "reason": text, "status": 126 or 127}   it could not be started
    {"event": "synced"}

Output under way is bounded by a window a run, so that one slow reader on the host holds up nobody else.

A run is over when its process has ended and its output is at its end. A daemon that the process has left behind may
hold the output open: it has a second to let go of it; from then on what it writes is thrown away, and it goes on.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import selectors
import signal
import sys
import termios
import time
import tty
from typing import Any

from drystone.lab.frames import PIECE, WINDOW, FrameLine, Header
from drystone.lab.guest import calls

_LINGER = 1.0
"""Seconds that a daemon has to let go of the output of the run that left it behind."""


def open_line(path: str) -> FrameLine:
    """The serial line, raw and non-blocking.

    :raises OSError: there is no such terminal.
    """
    handle = os.open(path, os.O_RDWR | os.O_NOCTTY)
    tty.setraw(handle, termios.TCSANOW)
    os.set_blocking(handle, False)
    return FrameLine(handle)


def count_waiting(handle: int) -> int:
    """Bytes that wait in a pipe."""
    count = bytearray(4)
    fcntl.ioctl(handle, termios.FIONREAD, count)
    return int.from_bytes(count, sys.byteorder)


class Run:
    """One command that runs: its process and the ends of its pipes. Not to be used after its exit was sent."""

    __slots__ = ("credit", "deadline", "eof", "number", "outputs", "owed", "pending", "pid", "status", "stdin")

    def __init__(self, number: int, pid: int, stdin: int, outputs: dict[int, str]) -> None:
        self.number = number
        self.pid = pid
        self.stdin = stdin
        self.outputs = outputs
        self.pending = bytearray()
        self.eof = False
        self.credit = WINDOW
        self.status: int | None = None
        self.deadline = math.inf
        self.owed: dict[int, int] = {}


def start_process(request: Header) -> tuple[int, dict[str, int]]:
    """Start a command in a session of its own: its pid, and our ends of its `in`, `out` and `err`, non-blocking.

    :raises OSError: no such program or folder, or it may not be run.
    """
    env = {str(key): str(value) for key, value in request["env"].items()}
    os.chdir(request["cwd"])
    os.environ["PATH"] = env.get("PATH", os.defpath)  # where posix_spawnp looks
    size = request.get("terminal")
    ours, theirs, actions = _make_terminal(*size) if size else _make_pipes()
    try:
        pid = os.posix_spawnp(
            request["argv"][0],
            request["argv"],
            env,
            file_actions=actions,
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ),
        )
    except OSError:
        for handle in ours.values():
            os.close(handle)
        raise
    finally:
        for handle in theirs:
            os.close(handle)
        os.chdir("/")
    for handle in ours.values():
        os.set_blocking(handle, False)
    return pid, ours


def _make_pipes() -> tuple[dict[str, int], list[int], list[tuple[Any, ...]]]:
    ends = [os.pipe() for _ in range(3)]
    theirs = [ends[0][0], ends[1][1], ends[2][1]]
    actions = [(os.POSIX_SPAWN_DUP2, handle, number) for number, handle in enumerate(theirs)]
    return {"in": ends[0][1], "out": ends[1][0], "err": ends[2][0]}, theirs, actions


def _make_terminal(rows: int, columns: int) -> tuple[dict[str, int], list[int], list[tuple[Any, ...]]]:
    """The first terminal that the leader of a session opens becomes its own: Ctrl-C and hang-ups reach it."""
    leader, follower = os.openpty()
    termios.tcsetwinsize(leader, (rows, columns))
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.ttyname(follower), os.O_RDWR, 0),
        (os.POSIX_SPAWN_DUP2, 0, 1),
        (os.POSIX_SPAWN_DUP2, 0, 2),
    ]
    return {"in": leader, "out": os.dup(leader)}, [follower], actions


class Agent:
    """The loop over the serial line, the pipes of the runs, and the ends of children."""

    def __init__(self, line: FrameLine, boot: dict[str, Any]) -> None:
        self._line = line
        self._folders: list[str] = boot["folders"]
        self._runs: dict[int, Run] = {}
        self._by_pid: dict[int, Run] = {}
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        """Serve until the power goes."""
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        self._selector.register(wake_read, selectors.EVENT_READ, None)
        self._selector.register(self._line.descriptor, selectors.EVENT_READ, self._line)
        self._line.send({"event": "up"})
        while True:
            writing = selectors.EVENT_WRITE if self._line.wants_write else 0
            self._selector.modify(self._line.descriptor, selectors.EVENT_READ | writing, self._line)
            for key, events in self._selector.select(self._until_deadline()):
                if key.data is self._line:
                    self._serve_line(events)
                elif key.fd == wake_read:
                    self._drain(wake_read)
                    self._reap()
                elif key.data is None:
                    self._throw_away(key.fd)
                elif key.fd == key.data.stdin:
                    self._write_input(key.data)
                else:
                    self._read_output(key.data, key.fd)

            now = time.monotonic()
            for run in [each for each in self._runs.values() if each.deadline <= now]:
                self._let_go(run)

    def _until_deadline(self) -> float | None:
        deadline = min((run.deadline for run in self._runs.values()), default=math.inf)
        return None if deadline == math.inf else max(0.0, deadline - time.monotonic())

    @staticmethod
    def _drain(handle: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(handle, 4096):
                pass

    def _serve_line(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._line.flush()
        if events & selectors.EVENT_READ:
            before = self._line.received
            frames = self._line.receive() or ()
            self._line.send({"event": "took", "bytes": self._line.received - before})
            for header, payload in frames:
                self._handle(header, payload)

    def _handle(self, header: Header, payload: bytes) -> None:
        action = header["do"]
        if action == "run":
            self._start(header)
        elif action == "sync":
            self._sync()
            self._line.send({"event": "synced", "id": header["id"]})
        else:
            run = self._runs.get(header["id"])
            if run is not None:  # else it has ended meanwhile
                self._handle_run(run, action, header, payload)

    def _handle_run(self, run: Run, action: str, header: Header, payload: bytes) -> None:
        if action == "in":
            run.pending += payload
            self._write_input(run)
        elif action == "eof":
            run.eof = True
            self._write_input(run)
        elif action == "signal":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, header["number"])
        elif action == "resize":
            with contextlib.suppress(OSError):
                termios.tcsetwinsize(run.stdin, header["terminal"])
        elif action == "ack":
            run.credit += header["bytes"]
            for handle in run.outputs:
                self._watch(handle, selectors.EVENT_READ, run)

    def _start(self, header: Header) -> None:
        number = header["id"]
        try:
            pid, ends = start_process(header)
        except OSError as error:
            status = 127 if isinstance(error, FileNotFoundError) else 126
            text = f"{error.filename or header['argv'][0]}: {error.strerror}"
            self._line.send({"event": "refused", "id": number, "reason": text, "status": status})
            return
        run = Run(number, pid, ends.pop("in"), {handle: event for event, handle in ends.items()})
        self._runs[number] = self._by_pid[pid] = run
        for handle in run.outputs:
            self._watch(handle, selectors.EVENT_READ, run)

    def _watch(self, handle: int, events: int, run: Run) -> None:
        if handle not in self._selector.get_map():
            self._selector.register(handle, events, run)

    def _unwatch(self, handle: int) -> None:
        if handle in self._selector.get_map():
            self._selector.unregister(handle)

    def _write_input(self, run: Run) -> None:
        if run.stdin < 0:
            if run.pending:  # nobody reads it any more, as with a broken pipe
                self._line.send({"event": "ack", "id": run.number, "bytes": len(run.pending)})
                run.pending.clear()
            return
        try:
            written = os.write(run.stdin, run.pending) if run.pending else 0
        except BlockingIOError:
            written = 0
        except OSError:  # a broken pipe, or a terminal that nobody holds any more
            self._close_input(run)
            self._write_input(run)
            return
        if written:
            del run.pending[:written]
            self._line.send({"event": "ack", "id": run.number, "bytes": written})
        if run.pending:
            self._watch(run.stdin, selectors.EVENT_WRITE, run)
        elif run.eof:
            self._close_input(run)
        else:
            self._unwatch(run.stdin)

    def _close_input(self, run: Run) -> None:
        if run.stdin >= 0:
            self._unwatch(run.stdin)
            os.close(run.stdin)
            run.stdin = -1

    def _read_output(self, run: Run, handle: int) -> None:
        if run.credit <= 0:
            for each in run.outputs:
                self._unwatch(each)
            return
        try:
            data = os.read(handle, min(PIECE, run.credit))
        except BlockingIOError:
            return
        except OSError:  # a terminal that nobody holds any more
            data = b""
        if data:
            run.credit -= len(data)
            if handle in run.owed:
                run.owed[handle] -= len(data)
            self._line.send({"event": run.outputs[handle], "id": run.number}, data)
            return
        self._unwatch(handle)
        os.close(handle)
        del run.outputs[handle]
        self._finish(run)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            run = self._by_pid.pop(pid, None)
            if run is not None:  # others are orphans that the first process inherits
                run.status = os.waitstatus_to_exitcode(status)
                run.owed = {handle: count_waiting(handle) for handle in run.outputs}
                run.deadline = time.monotonic() + _LINGER
                self._finish(run)

    def _let_go(self, run: Run) -> None:
        """End a run whose output others hold; they may go on writing, to nobody."""
        if any(owed > 0 for owed in run.owed.values()):  # its reader is slow
            run.deadline = time.monotonic() + _LINGER
            return
        for handle in run.outputs:
            self._unwatch(handle)
            self._selector.register(handle, selectors.EVENT_READ, None)
        run.outputs.clear()
        self._finish(run)

    def _throw_away(self, handle: int) -> None:
        try:
            data = os.read(handle, PIECE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._unwatch(handle)
            os.close(handle)

    def _finish(self, run: Run) -> None:
        if run.status is None or run.outputs:
            return
        self._close_input(run)
        del self._runs[run.number]
        trouble = self._sync()
        if trouble:
            self._line.send({"event": "err", "id": run.number}, f"{trouble}\n".encode())
        self._line.send({"event": "exit", "id": run.number, "status": run.status})

    def _sync(self) -> str:
        """Write the host's folders back; what went wrong with it, "" for nothing."""
        for folder in self._folders:
            try:
                handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    calls.sync_filesystem(handle)
                finally:
                    os.close(handle)
            except OSError as error:  # the host's disk is full, or the folder was removed there
                return f"{folder} could not be written back to the host: {error.strerror}"
        return ""
