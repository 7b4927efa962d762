"""Bucket policies: a subset that is checked when it is put, so that what is stored is what is enforced.

Offered: Effect Allow or Deny; Principal {"AWS": access keys, or arn:aws:iam:::user/ACCESS_KEY}, "*" in Deny only;
Action with `*`; Resource arn:aws:s3:::BUCKET and arn:aws:s3:::BUCKET/PATTERN with `*` and `?`; Condition
{"Bool": {"aws:SecureTransport": ...}}. All else is refused: nothing is open to requests without a key.
A policy adds rights to those that a key has by itself, and Deny takes them away, except from keys with "admin" on the
bucket for the policy itself (so that nobody is locked out).
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from drystone.fleet.s3.errors import Code, S3Error

MAX_POLICY = 20 * 1024
"""Bytes."""
_ARN = "arn:aws:s3:::"
_USER = "arn:aws:iam:::user/"


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    Statement: list[dict[str, object]]
    Version: str = "2012-10-17"
    Id: str = ""


class Statement(msgspec.Struct, frozen=True):
    """A statement. :ivar secure: of aws:SecureTransport; None when it does not matter."""

    allow: bool
    principals: tuple[str, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    secure: bool | None = None


def _malformed(message: str) -> S3Error:
    return S3Error(Code.MalformedPolicy, message)


def _texts(value: object, what: str) -> tuple[str, ...]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        raise _malformed(f"{what} must be a text or a list of texts.")
    return tuple(str(each) for each in found)


@lru_cache(maxsize=256)
def parse_policy(text: str, bucket: str) -> tuple[Statement, ...]:
    """The statements of a policy.

    :raises S3Error: MalformedPolicy: it is none, or has something that is not offered.
    """
    if len(text.encode()) > MAX_POLICY:
        raise _malformed(f"A policy has {MAX_POLICY} bytes at most.")
    try:
        document = msgspec.json.decode(text, type=_Document)
    except (msgspec.DecodeError, RecursionError) as error:
        raise _malformed("The policy is not the JSON that was expected.") from error
    return tuple(_parse_statement(each, bucket) for each in document.Statement)


def _parse_statement(given: dict[str, object], bucket: str) -> Statement:
    unknown = set(given) - {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
    if unknown:
        raise _malformed(f"{min(unknown)[:80]} is not offered in a statement.")
    if given.get("Effect") not in ("Allow", "Deny"):
        raise _malformed("Effect must be Allow or Deny.")
    allow = given["Effect"] == "Allow"
    principals = _parse_principals(given.get("Principal"), allow=allow)
    actions = _texts(given.get("Action"), "Action")
    if not all(each == "*" or each.startswith("s3:") for each in actions):
        raise _malformed("An Action must begin with s3:.")
    resources = tuple(each.removeprefix(_ARN) for each in _texts(given.get("Resource"), "Resource"))
    if not all(each == bucket or each.startswith(f"{bucket}/") for each in resources):
        raise _malformed(f"A Resource must be {_ARN}{bucket} or {_ARN}{bucket}/PATTERN.")
    return Statement(allow, principals, actions, resources, _parse_condition(given.get("Condition")))


def _parse_principals(given: object, *, allow: bool) -> tuple[str, ...]:
    if isinstance(given, dict) and set(given) == {"AWS"}:
        found = _texts(given["AWS"], "Principal")
    elif given == "*":
        found = ("*",)
    else:
        raise _malformed('Principal must be {"AWS": ...}.')
    if allow and "*" in found:
        raise _malformed("Allowing everybody is not offered: nothing is open to requests without a key.")
    return tuple(each.removeprefix(_USER) for each in found)


def _parse_condition(given: object) -> bool | None:
    if given is None or given == {}:
        return None
    value = given.get("Bool") if isinstance(given, dict) and set(given) == {"Bool"} else None
    text = value.get("aws:SecureTransport") if isinstance(value, dict) and set(value) == {"aws:SecureTransport"} else ""
    if str(text).lower() not in ("true", "false"):
        raise _malformed("The only Condition that is offered is Bool of aws:SecureTransport.")
    return str(text).lower() == "true"


@lru_cache(maxsize=1024)
def _segment(text: str) -> re.Pattern[str]:
    """What stands between two `*`."""
    return re.compile("".join("." if each == "?" else re.escape(each) for each in text), re.DOTALL)


def matches(pattern: str, text: str) -> bool:
    """Whether `*` (any characters) and `?` (one) in `pattern` can stand for `text`, in the product of their lengths.

    Each piece between two `*` is taken where it comes first: a later place cannot help those that follow.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return len(first) == len(text) and _segment(first).match(text) is not None
    *middle, last = rest
    at, end = len(first), len(text) - len(last)
    if end < at or not _segment(first).match(text) or not _segment(last).match(text, end):
        return False
    for each in middle:
        found = _segment(each).search(text, at, end)
        if found is None:
            return False
        at = found.end()
    return True


def decide(
    statements: tuple[Statement, ...], access_key: str, action: str, resource: str, *, secure: bool
) -> bool | None:
    """What a policy says: True allowed, False denied, None nothing. Deny wins.

    :param resource: `bucket` or `bucket/key`.
    """
    allowed: bool | None = None
    for each in statements:
        applies = (
            ("*" in each.principals or access_key in each.principals)
            and (each.secure is None or each.secure == secure)
            and any(matches(one.lower(), action.lower()) for one in each.actions)
            and any(matches(one, resource) for one in each.resources)
        )
        if applies and not each.allow:
            return False
        allowed = True if applies else allowed
    return allowed
