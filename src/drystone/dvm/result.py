"""What a run of a program leaves behind: one document."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from drystone.base.errors import KernelError

VERSION = 1

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
    """The first failure that no instruction dealt with."""

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

        :raises KernelError: otherwise, with the first failure's operation, device and errno, and the fact `outcome`.
        """
        if self.outcome == "done":
            return
        left = [each.instruction for each in self.left]
        if self.error is None:
            raise KernelError("program", 0, outcome=self.outcome, left=left or None)
        raise KernelError(
            self.error.op,
            self.error.errno,
            device=self.error.device or None,
            hint=self.error.hint,
            outcome=self.outcome,
            detail=self.error.message,
            left=left or None,
        )
