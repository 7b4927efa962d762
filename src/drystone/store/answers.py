"""What a remote store's failed answer means: an error of our tree, and whether trying again may help.

The client library gives text only: its own line, the server's answer after it (XML: `<Code>`; JSON of Google's token
server), and a dump of its values. All reading of that text is here. None of it goes into our messages, for it may hold
what was sent: messages name the destination, the operation and the object.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_PART = re.compile(r"Bulk delete request failed for key .*: ([^:]*) \(code: (\d{3})\)$")
"""Azure's answer to a delete, which the library sends as a batch of one: it has no code in XML."""
_DUMP = "\n\nDebug source:"
_METADATA = ("169.254.169.254", "metadata.google.internal", "169.254.170.")
"""Where a machine in a cloud asks for its own credentials: the library's last resort."""

_PHRASES = (
    ("The specified container does not exist", "ContainerNotFound"),
    ("The specified container is being deleted", "ContainerBeingDeleted"),
    ("Request date header too old", "RequestTimeTooSkewed"),
    ("Server failed to authenticate the request", "AuthenticationFailed"),
    ("blob is immutable due to a policy", "BlobImmutableDueToPolicy"),
    ("in a reasonable timeframe", "RequestTimeTooSkewed"),
    ("invalid_grant", "InvalidToken"),
)
"""Phrases of Azure, where the code is missing or says less, and of Google's token server, and codes that mean it."""

_NO_BUCKET = frozenset({"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted", "ResourceNotFound"})
"""Azure's ResourceNotFound is not of a blob: the account may be missing, or may not be seen."""

_SKEW = frozenset({"RequestTimeTooSkewed", "RequestExpired"})
_DENIED = frozenset({
    "PublicAccessNotPermitted", "KeyBasedAuthenticationNotPermitted", "BlobImmutableDueToPolicy",
})  # fmt: skip
_ARCHIVED = frozenset({"InvalidObjectState", "BlobArchived", "BlobBeingRehydrated"})
_REFUSED_KEYS = frozenset({
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidToken", "ExpiredToken", "TokenRefreshRequired",
    "AuthenticationFailed", "InvalidAuthenticationInfo", "NoAuthenticationInformation",
})  # fmt: skip
_ELSEWHERE = frozenset({
    "PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException",
    "Redirect",
})  # fmt: skip
_WRONG_NAME = frozenset({"InvalidBucketName", "InvalidResourceName"})
_FULL = frozenset(
    {"QuotaExceeded", "InsufficientStorage", "EntityTooLarge", "XMinioStorageFull", "ServiceQuotaExceeded"}
)
_BUSY = frozenset({"SlowDown", "RequestTimeout", "ServerBusy", "OperationTimedOut", "InternalError", "BadDigest"})
_BUSY_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 509})

_CREDENTIALS_HINTS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or fill in ~/.aws/credentials",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to the path of a key file",
    "az": "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A failed answer. :ivar passing: the same request may succeed later."""

    error: DrystoneError
    passing: bool = False


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the text of a failure says. :ivar status: of HTTP, 0 when there was no answer. :ivar code: the server's."""

    status: int
    code: str
    line: str
    dump: str


def credentials_hint(place: str) -> str:
    """Where credentials for a destination are looked for, as a hint."""
    return _CREDENTIALS_HINTS.get(place.partition(":")[0], "")


def read_answer(failure: Exception, place: str, operation: str, key: str) -> Answer:
    """What `failure`, raised by obstore, means for `operation` (get, put, list, delete) on `key` of `place`."""
    facts = _read_facts(str(failure))
    doing = f"{operation} {key}".rstrip()
    bucket_missing = facts.code in _NO_BUCKET or "bucket does not exist" in facts.line
    if bucket_missing or (facts.status == 404 and operation in {"put", "list"}):
        hint = "make it first, or mend the destination"
        return Answer(UsageError(f"{place}: there is no such {_bucket(place)}", hint=hint))
    if isinstance(failure, FileNotFoundError) and operation in {"get", "delete"}:
        return Answer(NotFoundError(f"there is no object {key} at {place}", key=key))
    if any(each in facts.line for each in _METADATA):
        return Answer(UnavailableError(f"{place}: no credentials were found", hint=credentials_hint(place)))
    if facts.status == 416 or "StartTooLarge" in facts.dump:
        return Answer(DamagedError(f"object {key} at {place} ends before what was asked of it", key=key))
    if isinstance(failure, AlreadyExistsError) and facts.code not in _DENIED | _ARCHIVED:
        message = f"{place}: {doing}: the store says that there is one, and shows none"
        return Answer(UnavailableError(message, hint="another writer may be at it: try again"), True)
    if isinstance(failure, InvalidPathError):
        # The library reads a page of a listing whole or not at all, so that it cannot be passed over.
        message = f"{place}: {doing}: an object there has a name with //, /./, /../ or a control character in it"
        return Answer(UsageError(message, hint="remove that object, or choose another path within the bucket"))
    if isinstance(failure, NotSupportedError):
        return Answer(UnsupportedError(f"{place}: the store does not support {doing}"))
    if facts.status:
        return _read_status(facts, place, doing)
    return _read_silence(facts, place, doing)


def _bucket(place: str) -> str:
    """What the store calls it."""
    return "container" if place.startswith("az:") else "bucket"


def _read_facts(text: str) -> _Facts:
    line, _, dump = text.partition(_DUMP)
    status, code, part = _STATUS.search(line), _CODE.search(line), _PART.search(line)
    said = line[status.end() :] if status else part[1] if part else ""
    meant = next((each for phrase, each in _PHRASES if phrase in said), "")
    number = status[1] if status else part[2] if part else "0"
    return _Facts(int(number), meant or (code[1] if code else ""), line, dump)


def _read_status(facts: _Facts, place: str, doing: str) -> Answer:
    """The server answered, with an error."""
    status, code = facts.status, facts.code
    if code in _SKEW:
        hint = "set this machine's clock: timedatectl"
        return Answer(
            UnavailableError(f"{place}: the clocks of this machine and of the store differ too much", hint=hint)
        )
    if code in _REFUSED_KEYS or status == 401:
        return Answer(
            UnavailableError(
                f"{place} does not accept the credentials ({code or status})",
                hint=credentials_hint(place),
                status=status,
            )
        )
    if code in _ELSEWHERE or status in {301, 302, 307, 308}:
        return Answer(_elsewhere(place))
    if code in _WRONG_NAME:
        return Answer(UsageError(f"{place}: the store takes this for no name of a {_bucket(place)}"))
    if code in _FULL or status in {413, 507}:
        return Answer(ExhaustedError(f"{place}: {doing}: the store has no room for it", hint="make room in the store"))
    if code in _ARCHIVED:
        hint = "bring it back out of the archive first, and keep backups in a class that answers at once"
        return Answer(UnavailableError(f"{place}: {doing}: the object is archived", hint=hint, status=status))
    if status == 403 or code in _DENIED:
        hint = "it needs the rights to get, put, list and delete objects there"
        return Answer(UnavailableError(f"{place}: {doing} is denied to this user", hint=hint, status=status))
    if status in {501, 505} or code == "NotImplemented":
        hint = "the store must know conditional writes (If-None-Match)"
        return Answer(UnsupportedError(f"{place}: the store does not support {doing}", hint=hint, status=status))
    passing = status in _BUSY_STATUS or code in _BUSY
    return Answer(
        UnavailableError(
            f"{place}: {doing} was answered by {' '.join(filter(None, (str(status), code)))}", status=status
        ),
        passing,
    )


def _elsewhere(place: str) -> UsageError:
    s3 = place.startswith("s3:")
    return UsageError(
        f"{place}: the {_bucket(place)} is in another region or at another endpoint",
        hint="name the region: s3://bucket@region/path, or AWS_REGION" if s3 else "see whether the endpoint is right",
    )


def _read_silence(facts: _Facts, place: str, doing: str) -> Answer:
    """No answer came, or not all of it, or the library tells nothing of it."""
    if "redirect without LOCATION" in facts.line:
        return Answer(_elsewhere(place))
    if "kind: Timeout" in facts.dump:
        return Answer(
            TimedOutError(f"{place}: {doing} took too long", hint="see whether the store and the network are slow"),
            True,
        )
    if "dns error" in facts.dump:
        hint = "see whether the endpoint is right and the network is up"
        return Answer(UnavailableError(f"{place}: the store's host name is not known", hint=hint), True)
    if "InvalidCertificate" in facts.dump or "certificate" in facts.dump:
        variable = "AWS_CA_BUNDLE" if place.startswith("s3:") else "SSL_CERT_FILE"
        hint = f"name the authority's certificate (PEM) in {variable}, or install it on this machine"
        return Answer(UnavailableError(f"{place}: the store's certificate is not trusted", hint=hint))
    if "InvalidContentType" in facts.dump or "CorruptMessage" in facts.dump:
        return Answer(
            UnavailableError(
                f"{place}: the store does not speak TLS", hint="write http:// in the endpoint if that is meant"
            )
        )
    if "kind: Connect" in facts.dump:
        hint = "see whether the endpoint is right and the store is running"
        return Answer(UnavailableError(f"{place}: the store cannot be reached", hint=hint), True)
    return Answer(UnavailableError(f"{place}: {doing}: the connection broke", hint="try again"), True)
