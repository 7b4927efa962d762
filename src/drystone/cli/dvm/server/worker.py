"""One command of one client, done by a process that becomes like it."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import struct
import sys
import time
from typing import TYPE_CHECKING

from drystone.base.errors import DrystoneError
from drystone.cli.dvm.plain.run import run_words
from drystone.cli.dvm.server.request import MOST_BYTES, MOST_HANDLES, Request, parse_request
from drystone.cli.exits import INTERRUPTED, drop_unwritable
from drystone.kernel.handles import close_others, rearrange
from drystone.kernel.surroundings import Allowance, find_difference, read_surroundings, take_allowance

if TYPE_CHECKING:
    from drystone.cli.dvm.server.installation import Installation

_CREDENTIALS = struct.Struct("=iII")
_STANDARD = (0, 1, 2)
_UTF8 = ("utf-8", "utf8")


class RefusedError(Exception):
    """The client does it itself; why."""


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """Process id and user of who connected."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, user, _ = _CREDENTIALS.unpack(data)
    return pid, user


def work(connection: socket.socket, installation: Installation) -> int:
    """Serve one client to its end; the exit code, which it has been told.

    Returns 0 when nothing was run: the client went away, or was refused.
    """
    try:
        request = _prepare(connection, installation)
        if request is None:
            return 0
    except (RefusedError, DrystoneError, OSError, ValueError) as error:
        _tell(connection, b"R" + str(error).encode(errors="replace")[:400])
        return 0
    handle = os.pidfd_open(os.getpid())
    try:
        socket.send_fds(connection, [b"A" + struct.pack("=i", os.getpid())], [handle])
        if connection.recv(1) != b"G":
            return 0
    except OSError:
        return 0
    os.close(handle)
    code = run_request(request)
    # The client's end is the command's: nothing that it held open, or had locked, is ours any more by then.
    close_others([connection.fileno()])
    _tell(connection, b"E" + struct.pack("=i", code << 8))
    return code


def _tell(connection: socket.socket, message: bytes) -> None:
    try:
        connection.send(message)
    except OSError:  # nobody is there to be told
        return


def _prepare(connection: socket.socket, installation: Installation) -> Request | None:
    """Become like the client, and give what it asks for; None: it asks for nothing.

    :raises RefusedError: it is too unlike. :raises DrystoneError: no request. :raises OSError, ValueError: what it has
        cannot be had here.
    """
    pid, user = peer_of(connection)
    connection.send(b"H")
    data, handles, flags, _ = socket.recv_fds(connection, MOST_BYTES, MOST_HANDLES + 1)
    if not data:
        return None
    if user != os.geteuid():
        raise RefusedError("another user")
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise RefusedError("a request that is too long")
    request = parse_request(data)
    if len(handles) != len(request.handles) + 1:
        raise RefusedError("a request without its files")
    if not installation.is_client(pid):
        raise RefusedError("another installation")
    if not installation.is_current(quickly=True):
        raise RefusedError("another version is installed by now")
    if not installation.starts_alike(request.variables):
        raise RefusedError("other PYTHON... variables")
    errors = choose_errors(request.variables)
    allowance = _be_alike(pid)
    os.fchdir(handles[0])
    os.umask(request.umask)
    file = rearrange(handles[1:], request.handles, connection.detach())
    connection.__init__(fileno=file)  # type: ignore[misc]  # the same connection under its new number
    _take_variables(request.variables)
    _open_streams(request.handles, errors)
    _take_signals(allowance.ignored, request.blocked)
    return request


def _be_alike(pid: int) -> Allowance:
    """:raises RefusedError: it is in other surroundings."""
    ours, our_allowance = read_surroundings(os.getpid())
    theirs, allowance = read_surroundings(pid)
    if difference := find_difference(ours, theirs):
        raise RefusedError(f"another {difference}")
    take_allowance(pid, our_allowance, allowance)
    return allowance


def choose_errors(variables: dict[str, str]) -> str:
    """How Python would have its standard streams treat bytes that are no UTF-8, in the locale of these variables.

    :raises RefusedError: they would not be in UTF-8 at all.
    """
    locale = next((value for name in ("LC_ALL", "LC_CTYPE", "LANG") if (value := variables.get(name))), "C")
    if locale in ("C", "POSIX", "C.UTF-8", "C.utf8", "UTF-8"):  # PEP 538, PEP 540
        return "surrogateescape"
    if locale.partition("@")[0].rpartition(".")[2].lower() in _UTF8:
        return "strict"
    raise RefusedError(f"the locale {locale}")


def _take_variables(variables: dict[str, str]) -> None:
    zone = os.environ.get("TZ")
    os.environ.clear()
    os.environ.update(variables)
    if variables.get("TZ") != zone:
        time.tzset()


def _open_streams(numbers: tuple[int, ...], errors: str) -> None:
    """sys.stdin, sys.stdout and sys.stderr as Python has them at its start; None for one that is closed."""
    stdin, stdout, stderr = (number in numbers for number in _STANDARD)
    sys.stdin = os.fdopen(0, encoding="utf-8", errors=errors, closefd=False) if stdin else None
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors=errors, newline="\n", closefd=False) if stdout else None
    sys.stderr = None
    if stderr:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", newline="\n", closefd=False)
        sys.stderr.reconfigure(line_buffering=True)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]


def _take_signals(ignored: int, blocked: int) -> None:
    """Handlers as Python has them at its start: what the client ignores stays ignored, Ctrl-C is an exception."""
    signal.set_wakeup_fd(-1)
    python_ignores = (signal.SIGPIPE, signal.SIGXFSZ)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if number >= signal.SIGRTMIN and not ignored >> (number - 1) & 1:
            continue  # never touched here
        wanted = signal.SIG_IGN if ignored >> (number - 1) & 1 or number in python_ignores else signal.SIG_DFL
        handler = signal.default_int_handler if number == signal.SIGINT and wanted == signal.SIG_DFL else wanted
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [n for n in signal.valid_signals() if blocked >> (n - 1) & 1])


def run_request(request: Request) -> int:
    """Run the tool; its exit code. All that it printed is written, or is lost as it is at an interpreter's end."""
    sys.argv = [request.program, *request.words]
    try:
        code = run_words(request.words)
    except SystemExit as ended:
        code = _read_exit(ended)
    except BaseException as error:  # noqa: BLE001  # as the interpreter does: a traceback, and a failure
        sys.excepthook(*sys.exc_info())
        code = INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    atexit._run_exitfuncs()  # noqa: SLF001  # no other way, and os._exit does not
    for stream in (sys.stderr, sys.stdout):
        if stream is not None:
            drop_unwritable(stream)
    return code & 0xFF


def _read_exit(ended: SystemExit) -> int:
    """As sys.exit has it: a text is printed."""
    if ended.code is None or isinstance(ended.code, int):
        return ended.code or 0
    print(ended.code, file=sys.stderr)  # noqa: T201  # what the interpreter does
    return 1
