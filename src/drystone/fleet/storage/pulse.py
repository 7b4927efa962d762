"""How long other servers have been silent, by the promises that are asked for twice a second. Pure.

A server that hangs, or is cut off, answers nothing: whoever waits for it longer than a few seconds waits in vain. One
whose disk is slow still answers these.
"""

from __future__ import annotations

SILENT_SECONDS = 3.0
"""A server that has answered nothing for so long is not waited for. Longer than a promise holds, and than it takes to
ask twice: what is older says nothing of now."""
_STALL_SECONDS = 0.5


class Pulse:
    """Of all servers that are asked. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._silences: dict[str, tuple[float, float]] = {}  # begun, seen last

    def answered(self, server: str) -> None:
        """It did."""
        self._silences.pop(server, None)

    def failed(self, server: str, asked: float, now: float, limit: float) -> None:
        """It did not answer what was asked at `asked`, within `limit` seconds.

        Where far more have passed it was us who stood still: that says nothing.
        """
        if now - asked <= limit + _STALL_SECONDS:
            begun, seen = self._silences.get(server, (asked, asked))
            self._silences[server] = (begun if asked - seen <= SILENT_SECONDS else asked), now

    def is_silent(self, server: str, now: float) -> bool:
        """Whether it has answered nothing for so long that nobody should wait for it. One that is not asked any more,
        as it was dropped, is not silent."""
        begun, seen = self._silences.get(server, (now, now))
        return now - begun >= SILENT_SECONDS and now - seen <= SILENT_SECONDS
