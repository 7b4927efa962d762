"""The HTTP statuses of a cluster's errors, at the API and at its agents alike."""

from __future__ import annotations

from drystone.base.errors import (
    BusyError,
    DrystoneError,
    ExhaustedError,
    ExistsError,
    MismatchError,
    NotFoundError,
    RefusedError,
    TimedOutError,
    UnavailableError,
    UnsupportedError,
    UsageError,
)

_STATUSES: tuple[tuple[type[DrystoneError], int], ...] = (
    (UsageError, 400),
    (NotFoundError, 404),
    (ExistsError, 409),
    (BusyError, 409),
    (MismatchError, 409),
    (ExhaustedError, 409),
    (RefusedError, 409),
    (UnavailableError, 503),
    (TimedOutError, 503),
    (UnsupportedError, 501),
)


def status_of(error: DrystoneError) -> int:
    """The HTTP status of an error; 500 for what is not the caller's to mend."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
