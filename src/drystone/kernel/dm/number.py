"""The number of a block device. A file of its own: small tools need it and nothing else of device-mapper."""

from __future__ import annotations

from typing import NamedTuple


class DeviceNumber(NamedTuple):
    """major:minor of a block device."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}:{self.minor}"

    @classmethod
    def parse(cls, text: str) -> DeviceNumber:
        """The number that the kernel writes as `major:minor` in a table."""
        major, _, minor = text.partition(":")
        return cls(int(major), int(minor))
