"""A function of our own run as a program is run: in a process of its own, bytes in on stdin, bytes out on stdout.

For one that would be a program with this very code: what is imported already is not imported again, which is most of
what such a program does.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from drystone.base.errors import KernelError
from drystone.kernel.pipe import Piped

_FIRST_OTHER = 3
_MOST_HANDLES = 1 << 20
_CRASHED = 70
_LOOK_EVERY = 250
"""Milliseconds. Python handles a signal in its first thread, but the kernel may hand it to any: a wait without an end
would not see a Ctrl-C that another thread took."""


def run_forked(action: Callable[[], int], stdin: bytes) -> Piped:
    """Have a child do `action` with `stdin` as its standard input, and wait for its end.

    The child has none of our open files: what is locked or held by one of them is ours alone. It is forked: the caller
    has one thread.

    :param action: returns the exit code; what it raises ends the child with 70, after a traceback on its stderr.
    :raises KernelError: there is no memory, or no process to be had.
    """
    handles: list[int] = []
    try:
        for name in ("stdin", "stdout", "stderr"):
            handles.append(os.memfd_create(name, os.MFD_CLOEXEC))  # noqa: PERF401  # noted before the next is made
        with os.fdopen(os.dup(handles[0]), "wb") as stream:
            stream.write(stdin)
        os.lseek(handles[0], 0, os.SEEK_SET)
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            _be_child(action, handles)
        code = _wait(child)
        return Piped(code, *(_read_all(handle) for handle in handles[1:]))
    except OSError as error:
        raise KernelError("fork", error.errno or 0) from error
    finally:
        for handle in handles:
            os.close(handle)


def fork_away(action: Callable[[], int]) -> int:
    """Have a child do `action` by itself, with all that is open here; its process id.

    The child ends with what `action` returns, without unwinding anything of the caller's; what `action` raises ends it
    with 70, after a traceback on stderr. The caller has one thread, and waits for the child some time.

    :raises KernelError: there is no memory, or no process to be had.
    """
    try:
        child = os.fork()
    except OSError as error:
        raise KernelError("fork", error.errno or 0) from error
    if child:
        return child
    code = _CRASHED
    try:
        code = action()
    except BaseException:  # noqa: BLE001  # the outermost supervisor of this process: nobody is above it
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _be_child(action: Callable[[], int], handles: list[int]) -> NoReturn:
    """Never returns: nothing of the caller's is unwound here."""
    code = _CRASHED
    try:
        for number, handle in enumerate(handles):
            os.dup2(handle, number)
        os.closerange(_FIRST_OTHER, _MOST_HANDLES)
        sys.stdin, sys.stdout, sys.stderr = (os.fdopen(at, how, closefd=False) for at, how in enumerate("rww"))
        try:
            code = action()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
    except BaseException:  # noqa: BLE001  # the outermost supervisor of this process: nobody is above it
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _wait(child: int) -> int:
    """Its exit code, negative for a signal. A child is ended when the wait for it is."""
    try:
        handle = os.pidfd_open(child)
        try:
            ended = select.poll()
            ended.register(handle, select.POLLIN)
            while not ended.poll(_LOOK_EVERY):
                pass
        finally:
            os.close(handle)
    except BaseException:
        # Nobody has waited for it yet, so the number is still its own.
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _read_all(handle: int) -> bytes:
    os.lseek(handle, 0, os.SEEK_SET)
    with os.fdopen(os.dup(handle), "rb") as stream:
        return stream.read()
