"""Accepts clients, and gives each to a worker: one that was forked before it came, or one that is forked then."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import stat
import struct
import time
from types import FrameType

from drystone.base.errors import UsageError
from drystone.cli.dvm.server.installation import Installation
from drystone.cli.dvm.server.rehearsal import Stage
from drystone.cli.dvm.server.worker import peer_of, work
from drystone.cli.output import tell
from drystone.kernel.fork import fork_away

MOST_WORKERS = 64
"""At once. Further clients wait, and start Python themselves after some seconds."""
_BACKLOG = 128
_LONGEST_PATH = 107
"""Bytes of a socket's path (Linux sockaddr_un, less the final zero)."""
_QUIET_S = 0.02
"""After a command's end, or while one goes on, until the next worker is made: a script's next command may come."""
_LONG_S = 0.2
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class CommandServer:
    """The server.

    :ivar listener: where clients come. :ivar stage: what workers rehearse on.
    :ivar own_path: of a socket that is to go with the server; None: it is somebody else's.
    """

    def __init__(
        self, listener: socket.socket, installation: Installation, stage: Stage, *, own_path: str | None = None
    ) -> None:
        self.listener = listener
        self.own_path = own_path
        self.installation = installation
        self.stage = stage
        self._jobs: dict[int, socket.socket] = {}
        self._told: set[int] = set()
        self._spare: tuple[int, socket.socket] | None = None
        self._fork_at: float | None = 0.0
        self._is_stopping = False
        self._signals, self._alarm = socket.socketpair()
        for end in (self._signals, self._alarm):
            end.setblocking(False)

    def run(self) -> None:
        """Serve until told to stop, or until another version is installed; workers are waited for."""
        signal.set_wakeup_fd(self._alarm.fileno(), warn_on_full_buffer=False)
        for number in _STOPPING:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, _do_nothing)
        while not self._is_stopping:
            if self._fork_at is not None and time.monotonic() >= self._fork_at:
                self._fork_at = None
                if not self._keep_spare():
                    break
            self._wait()
        if self.own_path is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.own_path)  # noqa: PTH108  # while it is ours: a successor's may have its name later
        self.listener.close()
        self._drop_spare()
        while self._jobs:
            self._wait()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True

    def _keep_spare(self) -> bool:
        """Have a worker ready. False: another version is installed, and new commands are not for this process."""
        if not self.installation.is_current():
            tell("dvm serve: another version is installed; ending")
            return False
        if self._spare is None and len(self._jobs) < MOST_WORKERS:
            self._spare = self._fork()
        return True

    def _fork(self) -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = fork_away(lambda: self._be_worker(ours, theirs))
        theirs.close()
        return pid, ours

    def _be_worker(self, servers: socket.socket, control: socket.socket) -> int:
        """Rehearse until there is a client, then be its worker.

        :param servers: the other end of `control`, closed here: that the server is gone is seen by its end.
        """
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (*_STOPPING, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        # A job's connection must have no holder but its own worker, or nobody would see it end.
        for each in (servers, self.listener, self._signals, self._alarm, *self._jobs.values()):
            each.close()
        coming = select.poll()
        coming.register(control, select.POLLIN)
        self.stage.rehearse(lambda: bool(coming.poll(0)))
        _, handles, _, _ = socket.recv_fds(control, 1, 1)
        if not handles:  # the server has ended
            return 0
        control.close()
        with socket.socket(fileno=handles[0]) as connection:
            return work(connection, self.installation)

    def _wait(self) -> None:
        """For a client, for the end of one, for the end of a worker, for a signal."""
        poll = select.poll()
        poll.register(self._signals, select.POLLIN)
        if not self._is_stopping and len(self._jobs) < MOST_WORKERS:
            poll.register(self.listener, select.POLLIN)
        clients = {each.fileno(): pid for pid, each in self._jobs.items() if pid not in self._told}
        for handle in clients:
            poll.register(handle, 0)  # hanging up is told unasked
        timeout = None if self._fork_at is None else max(0.0, self._fork_at - time.monotonic()) * 1000 + 1
        for handle, _ in poll.poll(timeout):
            if handle == self._signals.fileno():
                with contextlib.suppress(BlockingIOError):
                    self._signals.recv(4096)
            elif handle in clients:
                pid = clients[handle]
                self._told.add(pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            else:
                self._accept()
        self._reap()

    def _accept(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except OSError:  # it went away, or there are too many files: it will start Python
            return
        if peer_of(connection)[1] != os.geteuid():
            connection.close()
            return
        while True:
            pid, control = self._spare or self._fork()
            self._spare = None
            with control:
                try:
                    socket.send_fds(control, [b"J"], [connection.fileno()])
                    break
                except OSError:  # it was killed before it had a client
                    os.waitpid(pid, 0)
        self._jobs[pid] = connection
        self._fork_at = time.monotonic() + _LONG_S

    def _reap(self) -> None:
        for pid in list(self._jobs):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            with self._jobs.pop(pid) as connection, contextlib.suppress(OSError):
                # One that a signal ended could not tell it; the others have told it already.
                connection.send(b"E" + struct.pack("=i", status), socket.MSG_DONTWAIT)
            self._told.discard(pid)
            self._fork_at = time.monotonic() + _QUIET_S

    def _drop_spare(self) -> None:
        if self._spare is not None:
            pid, control = self._spare
            control.close()
            os.waitpid(pid, 0)
            self._spare = None


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """It is the wake-up that counts."""


def listen(path: str) -> socket.socket:
    """A socket at `path` for this user alone; one that nobody listens at is replaced.

    :raises UsageError: there is something else, which stays, or the path is too long.
    :raises OSError: it cannot be made; EADDRINUSE: somebody listens there.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise UsageError(f"the socket's path {path} is longer than {_LONGEST_PATH} bytes")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        _remove_dead(path)
        mask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(mask)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove_dead(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
        try:
            other.connect(path)
        except ConnectionRefusedError as error:
            if not stat.S_ISSOCK(os.lstat(path).st_mode):  # a file refuses as a dead socket does
                raise UsageError(f"{path} exists and is no socket", hint="name another path with --socket") from error
            os.unlink(path)  # noqa: PTH108  # tools start without pathlib
        except FileNotFoundError:
            return


def taken_over() -> socket.socket | None:
    """The socket that systemd listens at for us; None without it."""
    if os.environ.get("LISTEN_PID") != str(os.getpid()) or os.environ.get("LISTEN_FDS") != "1":
        return None
    return socket.socket(fileno=3)
