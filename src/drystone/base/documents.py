"""JSON documents: typed values out of bytes, with errors that name the place, and bytes out of values."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from drystone.base.errors import UsageError

Document = TypeVar("Document")


def decode(data: bytes | str, kind: type[Document], what: str = "document") -> Document:
    """A value of `kind` (a msgspec Struct, a list or a dict of them) from JSON text.

    :raises UsageError: no JSON, or not of that kind; the message holds the path to the wrong place.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{what}: {error}") from error


def encode(value: object, *, indent: int = 0) -> bytes:
    """JSON text of `value`; `indent` blanks a level, on one line when 0."""
    data = msgspec.json.encode(value)
    return msgspec.json.format(data, indent=indent) if indent else data
