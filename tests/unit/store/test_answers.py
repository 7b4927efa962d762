"""What a remote store's failed answers mean. The texts are what obstore 0.12 raised, shortened."""

from __future__ import annotations

import pytest
from obstore.exceptions import AlreadyExistsError, InvalidPathError, NotSupportedError

from drystone.base.errors import (
    DamagedError,
    DrystoneError,
    ExhaustedError,
    NotFoundError,
    TimedOutError,
    UnavailableError,
    UnsupportedError,
    UsageError,
)
from drystone.store.answers import Answer, read_answer


def answer(status: int, code: str = "", kind: type[Exception] = RuntimeError, operation: str = "get") -> Answer:
    body = f"<?xml version='1.0'?>\n<Error><Code>{code}</Code><Message>Secret text.</Message></Error>" if code else ""
    text = (
        f"Generic S3 error: Error performing GET http://127.0.0.1:1/b/a?secret=1 in 4ms - Server returned non-2xx "
        f'status code: {status} Some Reason: {body}\n\nDebug source:\nGeneric {{ store: "S3" }}'
    )
    return read_answer(kind(text), "s3://b", operation, "a")


def silence(dump: str, line: str = "HTTP error: error sending request") -> Answer:
    text = f"Generic S3 error: Error performing GET http://127.0.0.1:1/b/a in 4ms - {line}\n\nDebug source:\n{dump}"
    return read_answer(RuntimeError(text), "s3://b", "get", "a")


@pytest.mark.parametrize(
    ("found", "kind", "passing"),
    [
        (answer(404, "NoSuchKey", FileNotFoundError), NotFoundError, False),
        (answer(404, "", FileNotFoundError), NotFoundError, False),
        (answer(404, "", FileNotFoundError, "delete"), NotFoundError, False),
        (answer(404, "", FileNotFoundError, "put"), UsageError, False),
        (answer(404, "NoSuchBucket", FileNotFoundError), UsageError, False),
        (answer(404, "ContainerNotFound", FileNotFoundError), UsageError, False),
        (answer(400, "InvalidBucketName"), UsageError, False),
        (answer(301, "PermanentRedirect"), UsageError, False),
        (answer(400, "AuthorizationHeaderMalformed"), UsageError, False),
        (answer(403, "RequestTimeTooSkewed"), UnavailableError, False),
        (answer(403, "SignatureDoesNotMatch"), UnavailableError, False),
        (answer(403, "InvalidAccessKeyId"), UnavailableError, False),
        (answer(400, "ExpiredToken"), UnavailableError, False),
        (answer(401), UnavailableError, False),
        (answer(403), UnavailableError, False),
        (answer(403, "AccessDenied"), UnavailableError, False),
        (answer(403, "QuotaExceeded"), ExhaustedError, False),
        (answer(507), ExhaustedError, False),
        (answer(501, "NotImplemented"), UnsupportedError, False),
        (answer(416, "InvalidRange"), DamagedError, False),
        (answer(500, "InternalError"), UnavailableError, True),
        (answer(503, "SlowDown"), UnavailableError, True),
        (answer(429), UnavailableError, True),
        (answer(409, "ConditionalRequestConflict"), UnavailableError, True),
        (answer(400, "RequestTimeout"), UnavailableError, True),
        (answer(400, "MalformedXML"), UnavailableError, False),
        (silence("kind: Timeout, source: TimedOut"), TimedOutError, True),
        (silence("kind: Connect, Os { code: 111 }"), UnavailableError, True),
        (silence('kind: Connect, ConnectError("dns error")'), UnavailableError, True),
        (silence("kind: Connect, InvalidCertificate(UnknownIssuer)"), UnavailableError, False),
        (silence("kind: Connect, InvalidMessage(InvalidContentType)"), UnavailableError, False),
        (silence("kind: Request, IncompleteMessage"), UnavailableError, True),
        (silence("", "PUT http://169.254.169.254/latest/api/token"), UnavailableError, False),
        (
            silence("inner: BareRedirect", "Received redirect without LOCATION, this normally indicates a region"),
            UsageError,
            False,
        ),
        (silence("source: Range { source: StartTooLarge { requested: 3 } }"), DamagedError, False),
    ],
)
def test_answers(found: Answer, kind: type[DrystoneError], *, passing: bool) -> None:
    assert type(found.error) is kind
    assert found.passing is passing
    assert "s3://b" in found.error.message
    assert "ecret" not in str(found.error)
    assert "\n" not in str(found.error)


@pytest.mark.parametrize(
    ("reason", "code", "kind", "says"),
    [
        ("The specified blob does not exist.", 404, NotFoundError, "no object a/b"),
        ("The specified container does not exist.", 404, UsageError, "no such container"),
        ("Server failed to authenticate the request.", 403, UnavailableError, "does not accept"),
        ("This request is not authorized to perform this operation.", 403, UnavailableError, "denied"),
        ("This operation is not permitted as the blob is immutable due to a policy.", 409, UnavailableError, "denied"),
        ("The server is busy.", 503, UnavailableError, "503"),
    ],
)
def test_a_delete_that_azure_answers_in_a_batch(reason: str, code: int, kind: type[DrystoneError], says: str) -> None:
    text = f"Bulk delete request failed for key a/b: {reason} (code: {code})\n\nDebug source:\nNotFound {{}}"
    failure = FileNotFoundError(text) if code == 404 else RuntimeError(text)
    found = read_answer(failure, "az://b", "delete", "a/b")
    assert type(found.error) is kind
    assert says in found.error.message
    assert found.passing is (code == 503)


def test_a_name_that_sounds_like_an_answer_is_none() -> None:
    text = (
        "Object at location The specified container does not exist/a not found: Error performing GET http://h/a in 4ms"
    )
    found = read_answer(FileNotFoundError(text), "az://b", "get", "a")
    assert type(found.error) is NotFoundError


def test_what_googles_token_server_says() -> None:
    for description, says in (
        ("Bad Request", "does not accept"),
        ("Invalid JWT: in a reasonable timeframe.", "clocks"),
    ):
        text = (
            "Generic GCS error: Error performing token request: Error performing POST https://h/token in 4ms - Server "
            'returned non-2xx status code: 400 Bad Request: {"error": "invalid_grant", "error_description": '
            f'"{description}"}}\n\nDebug source:\n'
        )
        assert says in read_answer(RuntimeError(text), "gs://b", "get", "a").error.message


@pytest.mark.parametrize("status", [409, 412])
def test_there_is_one_and_there_is_none(status: int) -> None:
    found = answer(status, "ConditionalRequestConflict", AlreadyExistsError, "put")
    assert type(found.error) is UnavailableError
    assert found.passing


def test_a_name_that_cannot_be_listed() -> None:
    found = read_answer(InvalidPathError('Path "a//b" contained empty path segment'), "s3://b", "list", "a")
    assert type(found.error) is UsageError
    assert not found.passing


def test_what_the_library_does_not_support() -> None:
    found = read_answer(NotSupportedError("Operation not supported"), "s3://b", "put", "a")
    assert type(found.error) is UnsupportedError


def test_text_that_says_nothing() -> None:
    for text in ("", "\n\nDebug source:", "status code: 99", "<Code></Code>", "status code: 600 <Code>" + "x" * 10_000):
        assert isinstance(read_answer(ValueError(text), "gs://b", "list", "").error, UnavailableError)
