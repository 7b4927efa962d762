"""Errors, between servers and from the rest of the program."""

from __future__ import annotations

import pytest

from drystone.base.errors import BusyError, DamagedError, DrystoneError, ExhaustedError, NotFoundError, TimedOutError
from drystone.fleet.s3.errors import Code, S3Error, from_document, from_error


@pytest.mark.parametrize("code", list(Code))
def test_errors_travel_between_servers(code: Code) -> None:
    error = S3Error(code, "why", headers={"x": "y"}, Key="k", Size=5)
    back = from_document(error.to_document())
    assert (back.code, back.message, back.headers) == (code, "why", {"x": "y"})
    assert back.facts == {"Key": "k", "Size": "5"}
    assert 300 <= code.status < 600
    assert code.text.endswith(".")


@pytest.mark.parametrize("document", [{}, {"code": 5}, {"code": "Nonsense", "message": 3, "headers": [], "facts": "x"}])
def test_a_strange_error_becomes_an_internal_one(document: dict[str, object]) -> None:
    assert from_document(document).code is Code.InternalError


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFoundError("x"), Code.NoSuchKey),
        (BusyError("x"), Code.SlowDown),
        (TimedOutError("x"), Code.SlowDown),
        (ExhaustedError("x"), Code.InsufficientStorage),
        (DamagedError("secret path"), Code.InternalError),
        (DrystoneError("secret path"), Code.InternalError),
    ],
)
def test_errors_of_the_base_become_answers(error: DrystoneError, code: Code) -> None:
    answer = from_error(error)
    assert answer.code is code
    assert "secret" not in answer.message
