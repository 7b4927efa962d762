"""What a run of a program leaves behind: one document."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from drystone.base.errors import (
    BusyError,
    DrystoneError,
    ExhaustedError,
    ExistsError,
    KernelError,
    NotFoundError,
    UsageError,
    error_classes,
)

VERSION = 1

_OF_ERRNO = (KernelError, BusyError, ExhaustedError, ExistsError, NotFoundError, UsageError)
"""Classes that errno of a call leads to."""

Outcome = Literal["done", "unwound", "failed"]
"""done: all of it. unwound: it failed and the old state is back. failed: neither; `left` says what is left."""


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """An instruction that was executed.

    :ivar errno: 0 for success.
    :ivar nanoseconds: how long it took, tries included.
    :ivar tries: how often it was tried.
    """

    pc: int
    op: str
    device: str
    errno: int
    nanoseconds: int
    tries: int = 1


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """The first failure that no instruction dealt with. `code` is that of its class in `drystone.base.errors`."""

    code: str
    pc: int
    op: str
    device: str
    errno: int
    errno_name: str
    message: str
    hint: str = ""


class Left(msgspec.Struct, frozen=True, omit_defaults=True):
    """An instruction that is still to be done, by hand or by a new program.

    :ivar errno: why it failed; 0 when it was not tried.
    :ivar instruction: its text form.
    """

    pc: int
    op: str
    device: str
    errno: int
    instruction: str


class Result(msgspec.Struct, frozen=True):
    """Outcome, what the program collected, its trace, and what went wrong."""

    outcome: Outcome
    collected: dict[str, Any]
    trace: tuple[Step, ...]
    error: Failure | None = None
    left: tuple[Left, ...] = ()
    version: int = VERSION

    def require_done(self) -> None:
        """Nothing when the outcome is done.

        :raises DrystoneError: otherwise. KernelError when a call failed, for callers look at errno (its class for
            people is `code`, and `drystone.kernel.dm.causes.classed`); MismatchError: a thin pool is at another
            transaction; UnsupportedError: a target is missing; InternalError: a defect. Its facts have operation,
            device, errno, outcome and left.
        """
        if self.outcome == "done":
            return
        left = [each.instruction for each in self.left] or None
        if self.error is None:
            raise DrystoneError("the program ended without success", outcome=self.outcome, left=left)
        kind = next((each for each in error_classes() if each.code == self.error.code), DrystoneError)
        device = self.error.device or None
        if kind in _OF_ERRNO:
            raise KernelError(
                self.error.op, self.error.errno, device=device, hint=self.error.hint, outcome=self.outcome, left=left
            )
        raise kind(
            self.error.message,
            hint=self.error.hint,
            operation=self.error.op,
            device=device,
            errno=self.error.errno,
            errno_name=self.error.errno_name,
            outcome=self.outcome,
            left=left,
        )
