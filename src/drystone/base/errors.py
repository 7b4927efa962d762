"""One tree of errors, classed by what the caller should do about them.

    DrystoneError                 1   something failed; the message says what
    ├── UsageError                2   mend the arguments; nothing was changed
    ├── NotFoundError             3   name something that exists
    ├── ExistsError               4   pick another name, or use what is there
    ├── BusyError                 5   it is in use: release it, or try again later
    ├── UnavailableError          6   start the service, or mend the way to it
    ├── TimedOutError             7   try again, or allow more time
    ├── ExhaustedError            8   make room: space, memory, ids
    ├── UnsupportedError          9   install or enable what the message names
    ├── DamagedError             10   stored bytes are wrong: do not go on, repair
    ├── MismatchError            11   two things that must agree do not: look before going on
    ├── KernelError              12   a system call failed; errno says how
    ├── RefusedError             13   it would lose data or break a promise: say so explicitly
    └── InternalError            70   a defect of ours: report it

Every class has an exit code of its own; docs/reference/exit-codes.md is printed from this file by a script.
"""

from __future__ import annotations

import errno as errno_names
import os


class DrystoneError(Exception):
    """Something failed. `facts` keeps every detail as a value; the message is one line for people.

    :param message: one line: what failed, and on what.
    :param hint: one line: what to do about it; empty when the message says it.
    :param facts: details as JSON values, for machines.
    """

    code = "failed"
    exit_code = 1
    advice = "Read the message; nothing more is known."

    def __init__(self, message: str, *, hint: str = "", **facts: object) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.facts = facts

    def to_document(self) -> dict[str, object]:
        """The error as a JSON object: code, message, hint, and the facts."""
        document: dict[str, object] = {"code": self.code, "message": self.message}
        if self.hint:
            document["hint"] = self.hint
        document.update({key: value for key, value in self.facts.items() if value is not None})
        return document

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(DrystoneError):
    """The arguments are wrong; nothing was changed."""

    code = "usage"
    exit_code = 2
    advice = "Mend the arguments; nothing was changed."


class NotFoundError(DrystoneError):
    """What was named does not exist."""

    code = "not-found"
    exit_code = 3
    advice = "Name something that exists."


class ExistsError(DrystoneError):
    """What was to be made exists already."""

    code = "exists"
    exit_code = 4
    advice = "Pick another name, or use what is there."


class BusyError(DrystoneError):
    """It is in use by somebody else."""

    code = "busy"
    exit_code = 5
    advice = "Release it, or try again later."


class UnavailableError(DrystoneError):
    """A service or a device cannot be reached."""

    code = "unavailable"
    exit_code = 6
    advice = "Start the service, or mend the way to it."


class TimedOutError(DrystoneError):
    """It took longer than it was allowed to."""

    code = "timed-out"
    exit_code = 7
    advice = "Try again, or allow more time."


class ExhaustedError(DrystoneError):
    """Space, memory or ids ran out."""

    code = "exhausted"
    exit_code = 8
    advice = "Make room, then try again."


class UnsupportedError(DrystoneError):
    """This machine lacks what the command needs."""

    code = "unsupported"
    exit_code = 9
    advice = "Install or enable what the message names."


class DamagedError(DrystoneError):
    """Stored bytes are not what was written."""

    code = "damaged"
    exit_code = 10
    advice = "Do not go on with it; repair it, or take another copy."


class MismatchError(DrystoneError):
    """Two things that must agree do not."""

    code = "mismatch"
    exit_code = 11
    advice = "Look at both sides before going on."


class KernelError(DrystoneError):
    """A system call failed. The facts hold `operation`, `device`, `errno` (a number) and `errno_name`."""

    code = "kernel"
    exit_code = 12
    advice = "Read errno and the kernel's log (dmesg)."

    def __init__(
        self,
        operation: str,
        number: int,
        *,
        device: str | None = None,
        hint: str = "",
        **facts: object,
    ) -> None:
        name = errno_names.errorcode.get(number, str(number))
        on = f" on {device}" if device else ""
        super().__init__(
            f"{operation}{on} failed: {name} ({os.strerror(number)})",
            hint=hint,
            operation=operation,
            device=device,
            errno=number,
            errno_name=name,
            **facts,
        )
        self.operation = operation
        self.device = device
        self.errno = number


class RefusedError(DrystoneError):
    """It would lose data or break a promise."""

    code = "refused"
    exit_code = 13
    advice = "Read what would be lost; say explicitly that you want it."


class InternalError(DrystoneError):
    """A defect of ours."""

    code = "internal"
    exit_code = 70
    advice = "Run it again with DRYSTONE_DEBUG=1 and report what it prints."


def error_classes() -> list[type[DrystoneError]]:
    """Every class of the tree, ordered by exit code and name."""
    found: set[type[DrystoneError]] = {DrystoneError}
    waiting: list[type[DrystoneError]] = [DrystoneError]
    while waiting:
        for child in waiting.pop().__subclasses__():
            if child not in found:
                found.add(child)
                waiting.append(child)
    return sorted(found, key=lambda each: (each.exit_code, each.__name__))
