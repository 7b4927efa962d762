"""Errors between servers: what one raises, the other raises: those of S3, of base.errors, and "elsewhere"."""

from __future__ import annotations

import msgspec

from drystone.base.errors import (
    DrystoneError,
    ExhaustedError,
    InternalError,
    NotFoundError,
    TimedOutError,
    UnavailableError,
    UsageError,
)
from drystone.fleet.calls import Answer
from drystone.fleet.documents import Placement
from drystone.fleet.s3.errors import S3Error, from_document
from drystone.wire.problems import from_problem, to_problem


class ElsewhereError(Exception):
    """Somebody else leads, or a newer epoch is known.

    :ivar placement: as it is known where the error was raised, None when it is not known there.
    """

    def __init__(self, placement: Placement | None) -> None:
        super().__init__(f"epoch {placement.epoch}, {placement.leader} leads" if placement else "not known here")
        self.placement = placement


Failure = ElsewhereError | S3Error | DrystoneError
FAILURES = (ElsewhereError, S3Error, DrystoneError)
"""What an answer between servers can carry."""

_STATUSES: tuple[tuple[type[DrystoneError], int], ...] = (
    (UsageError, 400),
    (NotFoundError, 404),
    (UnavailableError, 503),
    (TimedOutError, 503),
    (ExhaustedError, 507),
    (InternalError, 500),
)


class _Document(msgspec.Struct, omit_defaults=True):
    s3: dict[str, object] | None = None
    placement: Placement | None = None
    elsewhere: bool = False
    problem: dict[str, object] | None = None


def encode_failure(error: Failure) -> tuple[int, bytes]:
    """The status and body of an answer."""
    if isinstance(error, ElsewhereError):
        return 421, msgspec.json.encode(_Document(placement=error.placement, elsewhere=True))
    if isinstance(error, S3Error):
        return max(error.status, 400), msgspec.json.encode(_Document(s3=error.to_document()))
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), 500)
    return status, msgspec.json.encode(_Document(problem=to_problem(error, status=status)))


def decode_failure(answer: Answer) -> Failure:
    """The error of an answer that is not 200."""
    try:
        document = msgspec.json.decode(answer.body, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return answer.error()
    if document.elsewhere:
        return ElsewhereError(document.placement)
    if document.s3 is not None:
        return from_document(document.s3)
    return from_problem(document.problem) if document.problem is not None else answer.error()
