"""How a simulated call ends when it does not succeed; the outermost layer turns these into the public errors."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818  an answer, no defect
    """The kernel would answer with this errno."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(why)
        self.number = number
        self.why = why


class Blocked(Exception):  # noqa: N818  likewise
    """The kernel would not return before something else happens, such as the resume of a device below.

    :ivar keep: what happened before the wait stays (a full pool's mode changed); else the call is undone.
    """

    def __init__(self, why: str, *, keep: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.keep = keep
