"""Errors between servers: what was raised there is raised here."""

from __future__ import annotations

import pytest

from drystone.base.errors import DamagedError, DrystoneError, ExhaustedError, NotFoundError, UnavailableError
from drystone.fleet.calls import Answer
from drystone.fleet.documents import Placement
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage.failures import ElsewhereError, Failure, decode_failure, encode_failure

PLACEMENT = Placement("p", "ns", "h", "h", "shared", 4, "s2", ())


def pass_on(error: Failure) -> Failure:
    status, body = encode_failure(error)
    return decode_failure(Answer(status, body, {}))


@pytest.mark.parametrize("placement", [PLACEMENT, None])
def test_that_another_leads(placement: Placement | None) -> None:
    error = pass_on(ElsewhereError(placement))
    assert isinstance(error, ElsewhereError)
    assert error.placement == placement
    assert encode_failure(error)[0] == 421


def test_an_error_of_s3() -> None:
    error = pass_on(S3Error(Code.PreconditionFailed, "no", Condition="If-Match", headers={"etag": "x"}))
    assert isinstance(error, S3Error)
    assert (error.code, error.message, error.facts) == (Code.PreconditionFailed, "no", {"Condition": "If-Match"})
    assert error.headers == {"etag": "x"}


@pytest.mark.parametrize("kind", [DamagedError, ExhaustedError, NotFoundError, UnavailableError])
def test_an_error_of_the_tree(kind: type[DrystoneError]) -> None:
    error = pass_on(kind("so it is", hint="do this", key="k"))
    assert type(error) is kind
    assert (error.message, error.hint, error.facts["key"]) == ("so it is", "do this", "k")


def test_an_answer_of_something_else() -> None:
    error = decode_failure(Answer(502, b"<html>bad gateway</html>", {}))
    assert isinstance(error, DrystoneError)
    assert "502" in str(error)
