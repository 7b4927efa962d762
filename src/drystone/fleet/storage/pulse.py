"""How long other servers have been silent, by the promises that are asked for twice a second. Pure.

A server that hangs, or is cut off, answers nothing: whoever waits for it longer than a few seconds waits in vain. One
whose disk is slow still answers these.
"""

from __future__ import annotations

from dataclasses import dataclass

SILENT_SECONDS = 3.0
"""A server that has answered nothing for so long is not waited for. Longer than a promise holds, and than it takes to
ask twice: what is older says nothing of now."""
ASK_SECONDS = 2.0
ASK_AGAIN_SECONDS = 1.0
"""How long an answer is waited for; and that to a second question, when there was none to the first."""
_STALL_SECONDS = 0.5


@dataclass(slots=True)
class _Silence:
    """Questions in a row without an answer. :ivar begun: when the first was asked, :ivar seen: the last given up."""

    begun: float
    seen: float
    questions: int = 1


class Pulse:
    """Of all servers that are asked. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._silences: dict[str, _Silence] = {}

    def limit(self, server: str) -> float:
        """How long to wait for its next answer."""
        return ASK_AGAIN_SECONDS if server in self._silences else ASK_SECONDS

    def answered(self, server: str) -> None:
        """It did."""
        self._silences.pop(server, None)

    def failed(self, server: str, asked: float, now: float, limit: float) -> None:
        """It did not answer what was asked at `asked`, within `limit` seconds.

        Where far more have passed it was us who stood still: that says nothing.
        """
        if now - asked > limit + _STALL_SECONDS:
            return
        known = self._silences.get(server)
        if known is None or asked - known.seen > SILENT_SECONDS:
            self._silences[server] = _Silence(asked, now)
        else:
            known.seen, known.questions = now, known.questions + 1

    def is_silent(self, server: str, now: float) -> bool:
        """Whether it has answered nothing, twice or more, for so long that nobody should wait for it. One that is not
        asked any more, as it was dropped, is not silent."""
        known = self._silences.get(server)
        return (
            known is not None
            and known.questions > 1
            and now - known.begun >= SILENT_SECONDS
            and now - known.seen <= SILENT_SECONDS
        )
