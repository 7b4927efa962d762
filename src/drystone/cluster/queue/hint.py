"""Hints, and their bytes in a queue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, get_args

import msgspec

HintKind = Literal["dlv", "snapshot", "job", "backup", "dpv", "ihost", "echo"]

_BYTES_LIMIT = 1024
_SUBJECT_LIMIT = 200


class Hint(msgspec.Struct, frozen=True):
    """That something is worth a look.

    :ivar subject: its name, as in the events: `DLV@NAME` of a snapshot, the id of a job or a backup. An `echo` is of
        the queue itself: its subject is who waits for it.
    """

    kind: HintKind
    subject: Annotated[str, msgspec.Meta(min_length=1, max_length=_SUBJECT_LIMIT)]


_TOLD: frozenset[str] = frozenset(get_args(HintKind)) - {"echo"}


def encode_hint(hint: Hint) -> bytes:
    """A message."""
    return msgspec.json.encode(hint)


def decode_hint(message: bytes) -> Hint | None:
    """What a message says, None when it is none of ours: anybody may have put it there."""
    if len(message) > _BYTES_LIMIT:
        return None
    try:
        return msgspec.json.decode(message, type=Hint)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def hints_of(events: Iterable[Mapping[str, str]]) -> list[Hint]:
    """What events of the database hint at, each once."""
    found = ((each["kind"], each["subject"]) for each in events)
    return [Hint(kind, subject) for kind, subject in dict.fromkeys(found) if kind in _TOLD and subject]  # type: ignore[arg-type]
