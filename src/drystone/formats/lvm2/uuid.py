"""LVM2's UUIDs: 32 letters and digits, written in groups of 6-4-4-4-4-4-6 with dashes between them."""

from __future__ import annotations

import re

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.layout import UUID_GROUPS, UUID_LENGTH

_STORED = re.compile(rb"[0-9A-Za-z!#]{%d}" % UUID_LENGTH)
_WRITTEN = re.compile("-".join(f"[0-9A-Za-z!#]{{{length}}}" for length in UUID_GROUPS))


def from_stored(data: bytes, what: str) -> str:
    """The UUID with dashes from its 32 bytes in a header.

    :raises DamagedError: these are no such bytes; `what` begins the message.
    """
    if _STORED.fullmatch(data) is None:
        raise DamagedError(f"{what} holds no UUID but {data!r}")
    text = data.decode("ascii")
    groups: list[str] = []
    for length in UUID_GROUPS:
        groups.append(text[:length])
        text = text[length:]
    return "-".join(groups)


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID with its dashes."""
    return _WRITTEN.fullmatch(text) is not None


def without_dashes(uuid: str) -> str:
    """The 32 characters, as in headers and in device-mapper UUIDs."""
    return uuid.replace("-", "")
