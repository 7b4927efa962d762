"""What S3 tells a client that something went wrong: a code, an HTTP status and a line for people.

These are answers to clients, with statuses instead of exit codes, so they are no part of the tree in base.errors;
`from_error` says which of them an error of that tree becomes. Codes and statuses: the S3 API reference, "Error
responses". The lines are ours.
"""

from __future__ import annotations

from enum import Enum, unique

from drystone.base.errors import (
    BusyError,
    DamagedError,
    DrystoneError,
    ExhaustedError,
    ExistsError,
    NotFoundError,
    RefusedError,
    TimedOutError,
    UnavailableError,
    UnsupportedError,
    UsageError,
)


@unique
class Code(Enum):
    """S3's error codes: the name on the wire, the HTTP status, what the message says when nothing better is known."""

    AccessDenied = (403, "Access denied.")
    AuthorizationHeaderMalformed = (403, "The Authorization header cannot be read.")
    BadDigest = (400, "A checksum differs from that of the bytes that came.")
    BucketAlreadyExists = (409, "The bucket's name is taken.")
    BucketAlreadyOwnedByYou = (409, "The bucket is yours already.")
    BucketNotEmpty = (409, "The bucket holds objects.")
    EntityTooLarge = (400, "The body is larger than what is allowed.")
    EntityTooSmall = (400, "A part other than the last is smaller than 5 MiB.")
    IllegalLocationConstraintException = (400, "The region is not this server's.")
    IncompleteBody = (400, "The body ended before its length was reached.")
    InsufficientStorage = (507, "No disk has room for it.")
    InternalError = (500, "The server failed; try again.")
    InvalidAccessKeyId = (403, "The access key is not known.")
    InvalidArgument = (400, "An argument has a wrong value.")
    InvalidBucketName = (400, "The bucket's name is not valid.")
    InvalidBucketState = (409, "The bucket's state forbids it.")
    InvalidDigest = (400, "Content-MD5 is no MD5 in base64.")
    InvalidEncryptionAlgorithmError = (400, "Encryption by the server is not offered.")
    InvalidPart = (400, "A part is missing, or its ETag differs.")
    InvalidPartNumber = (416, "The object has no part of this number.")
    InvalidPartOrder = (400, "Parts are not in ascending order.")
    InvalidRange = (416, "The range lies outside of the object.")
    InvalidRequest = (400, "The request is not valid.")
    InvalidStorageClass = (400, "The storage class is not known.")
    InvalidTag = (400, "A tag is not valid.")
    InvalidURI = (400, "The path cannot be decoded.")
    KeyTooLongError = (400, "The key has more than 1024 bytes.")
    MalformedPolicy = (400, "The policy cannot be read.")
    MalformedXML = (400, "The XML is malformed or not what was expected.")
    MaxMessageLengthExceeded = (400, "The request's document is too long.")
    MetadataTooLarge = (400, "User metadata has more than 2048 bytes.")
    MethodNotAllowed = (405, "The method is not allowed here.")
    MissingContentLength = (411, "Content-Length is missing.")
    NoSuchBucket = (404, "The bucket does not exist.")
    NoSuchBucketPolicy = (404, "The bucket has no policy.")
    NoSuchCORSConfiguration = (404, "The bucket has no CORS rules.")
    NoSuchKey = (404, "The key does not exist.")
    NoSuchLifecycleConfiguration = (404, "The bucket has no lifecycle rules.")
    NoSuchObjectLockConfiguration = (404, "The object has no lock of this kind.")
    NoSuchTagSet = (404, "There are no tags.")
    NoSuchUpload = (404, "The upload does not exist; it may have been completed or aborted.")
    NoSuchVersion = (404, "The version does not exist.")
    NoSuchWebsiteConfiguration = (404, "The bucket is no website.")
    NotImplemented = (501, "This is not offered.")
    NotModified = (304, "Not modified.")
    ObjectLockConfigurationNotFoundError = (404, "The bucket has no object-lock configuration.")
    OwnershipControlsNotFoundError = (404, "The bucket has no ownership controls.")
    OperationAborted = (409, "Another change of the same thing is under way; try again.")
    PreconditionFailed = (412, "A condition of the request does not hold.")
    QuotaExceeded = (403, "The bucket's quota is used up.")
    ReplicationConfigurationNotFoundError = (404, "The bucket is not replicated to others.")
    RequestTimeTooSkewed = (403, "The request's time differs too much from the server's.")
    RequestTimeout = (400, "The body came too slowly.")
    ServerSideEncryptionConfigurationNotFoundError = (404, "The bucket has no encryption configuration.")
    SignatureDoesNotMatch = (403, "The signature is not that of this request.")
    SlowDown = (503, "Try again in a moment.")
    XAmzContentSHA256Mismatch = (400, "x-amz-content-sha256 differs from that of the bytes that came.")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return int(self.value[0])

    @property
    def text(self) -> str:
        """The usual message."""
        return str(self.value[1])


class S3Error(Exception):
    """An answer to a client. To raise one: `raise S3Error(Code.NoSuchKey, Key=key)`.

    :param code: which. :param message: one line when more is known than the code says; shown to the client.
    :param facts: elements added to the XML, by their names (`Key`, `BucketName`).
    :ivar headers: response headers that go with it (`x-amz-delete-marker`), names in lower case.
    """

    def __init__(
        self, code: Code, message: str = "", *, headers: dict[str, str] | None = None, **facts: str | int
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message or code.text
        self.headers = headers or {}
        self.facts = facts

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.code.status

    def __str__(self) -> str:
        return f"{self.code.name}: {self.message}"

    def to_document(self) -> dict[str, object]:
        """The error as a JSON object, for another server; `from_document` reads it."""
        return {
            "code": self.code.name,
            "message": self.message,
            "headers": dict(self.headers),
            "facts": dict(self.facts),
        }


def from_document(document: dict[str, object]) -> S3Error:
    """The error that `to_document` wrote; InternalError when it is none of ours."""
    name, message = document.get("code"), document.get("message")
    headers, facts = document.get("headers"), document.get("facts")
    code = Code.__members__.get(name, Code.InternalError) if isinstance(name, str) else Code.InternalError
    return S3Error(
        code,
        message if isinstance(message, str) else "",
        headers={str(key): str(value) for key, value in headers.items()} if isinstance(headers, dict) else None,
        **({str(key): str(value) for key, value in facts.items()} if isinstance(facts, dict) else {}),
    )


_KINDS: tuple[tuple[type[DrystoneError], Code], ...] = (
    (NotFoundError, Code.NoSuchKey),
    (ExistsError, Code.OperationAborted),
    (BusyError, Code.SlowDown),
    (UnavailableError, Code.SlowDown),
    (TimedOutError, Code.SlowDown),
    (ExhaustedError, Code.InsufficientStorage),
    (UnsupportedError, Code.NotImplemented),
    (RefusedError, Code.AccessDenied),
    (UsageError, Code.InvalidArgument),
    (DamagedError, Code.InternalError),
)


def from_error(error: DrystoneError) -> S3Error:
    """What a client is told of an error of base.errors; the rest, and damage, becomes InternalError without details."""
    for kind, code in _KINDS:
        if isinstance(error, kind):
            return S3Error(code, "" if code is Code.InternalError else error.message)
    return S3Error(Code.InternalError)
