"""Work that goes on when the command has ended: a process of its own, which says first how its beginning went."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from drystone.base.errors import DrystoneError, InternalError

_LOOK_S = 0.5

Report = Callable[[dict[str, Any]], None]
"""Called once by the work, when it has begun, with what the command is to print."""


def run_in_background(work: Callable[[Report], None]) -> dict[str, Any]:
    """Have a child process do `work`, and return what it reported; it goes on by itself then.

    Called before there are threads, and before anything is open that the child should not have.

    :raises DrystoneError: the work failed before it reported.
    """
    ready, tell = os.pipe()
    child = os.fork()
    if not child:
        os.close(ready)
        _run_child(work, tell)
    os.close(tell)
    with os.fdopen(ready, "rb") as stream:
        answer = stream.read()
    if not answer:
        _, status = os.waitpid(child, 0)
        raise DrystoneError(f"the background process ended at once: {os.waitstatus_to_exitcode(status)}")
    document = json.loads(answer)
    if "error" not in document:
        assert isinstance(document, dict)
        return document
    os.waitpid(child, 0)
    raise _revive(document["error"], document["exit_code"])


def wait_for_end(over: threading.Event) -> None:
    """Return when `over` is set, or at Ctrl-C, SIGTERM or SIGHUP; from then on these do nothing: the end is coming."""
    wanted = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    came: list[int] = []
    for each in wanted:
        signal.signal(each, lambda number, _frame: came.append(number))
    # A signal that arrives just before the wait begins does not end it, so it has an end of its own.
    while not came and not over.wait(_LOOK_S):
        pass
    for each in wanted:
        signal.signal(each, signal.SIG_IGN)


def _run_child(work: Callable[[Report], None], tell: int) -> NoReturn:
    """What is left of this process is the work: nothing of the command that it came from runs on."""

    listening = True

    def say(document: dict[str, Any]) -> None:
        nonlocal listening
        if listening:  # else the number of `tell` may be another file's by now
            listening = False
            os.write(tell, json.dumps(document, default=str).encode())
            os.close(tell)

    def report(document: dict[str, Any]) -> None:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        sys.stdout.flush()
        for handle in range(3):
            os.dup2(nowhere, handle)
        say(document)

    code = 0
    try:
        work(report)
    except DrystoneError as error:
        code = error.exit_code
        say({"error": error.to_document(), "exit_code": code})
    except BaseException as error:  # noqa: BLE001  # the child's outermost supervisor
        defect = InternalError(f"{type(error).__name__}: {error}")
        code = defect.exit_code
        say({"error": defect.to_document(), "exit_code": code})
    finally:
        os._exit(code)


def _revive(document: dict[str, Any], exit_code: int) -> DrystoneError:
    """The error that another process had."""
    facts = {key: value for key, value in document.items() if key not in {"code", "message", "hint"}}
    error = DrystoneError(document["message"], hint=document.get("hint", ""), **facts)
    error.code = document["code"]
    error.exit_code = exit_code
    return error
