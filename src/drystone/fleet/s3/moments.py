"""The spellings of a moment in S3: headers, XML, signatures. Moments are seconds since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime

_STAMP = re.compile(r"(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z", re.ASCII)


def format_http(moment: float) -> str:
    """`Fri, 02 Jan 2026 15:04:05 GMT`, whole seconds, rounded down."""
    return formatdate(int(moment), usegmt=True)


def _seconds(moment: datetime) -> float:
    """Since 1970; without a zone it is UTC. :raises OverflowError: it is in no year from 1 to 9999 of UTC."""
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).timestamp()


def parse_http(text: str) -> float:
    """The moment of an HTTP date (of any of RFC 9110's three spellings) or of RFC 3339.

    :raises ValueError: it is none.
    """
    try:
        return parse_iso(text)
    except ValueError:
        pass
    try:
        return _seconds(parsedate_to_datetime(text))
    except (TypeError, IndexError, OverflowError, ValueError) as error:
        raise ValueError(f"no date: {text[:40]}") from error


def format_iso(moment: float) -> str:
    """`2026-01-02T15:04:05.123Z`."""
    milliseconds = round(moment * 1000)
    return f"{datetime.fromtimestamp(milliseconds // 1000, UTC).isoformat()[:19]}.{milliseconds % 1000:03d}Z"


def parse_iso(text: str) -> float:
    """The moment of an RFC 3339 text; without a zone it is UTC. `format_iso` can write it.

    :raises ValueError: it is none, or outside of the years 1 to 9999.
    """
    try:
        return _seconds(datetime.fromisoformat(text.strip()))
    except (OverflowError, ValueError) as error:
        raise ValueError(f"no date: {text[:40]}") from error


def format_stamp(moment: float) -> str:
    """`20260102T150405Z`, the spelling of x-amz-date."""
    return f"{datetime.fromtimestamp(int(moment), UTC):%Y%m%dT%H%M%SZ}"


def parse_stamp(text: str) -> float:
    """The moment of an x-amz-date.

    :raises ValueError: it is none.
    """
    found = _STAMP.fullmatch(text)
    if found is None:
        raise ValueError(f"no x-amz-date: {text[:40]}")
    year, month, day, hour, minute, second = (int(group) for group in found.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except ValueError as error:
        raise ValueError(f"no x-amz-date: {text}") from error
