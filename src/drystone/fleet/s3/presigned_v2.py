"""Presigned URLs of signature version 2, which boto3 and aws-cli still make unless told otherwise. Checked, never made.

Only such URLs: version 2 in a header is not offered. It signs the method, the path, x-amz-* headers and the
sub-resources below, by HMAC-SHA1; whatever else stands in the query is refused, as nobody signed it. From "Signing and
authenticating REST requests" of the S3 developer guide.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.numbers import parse_number
from drystone.fleet.s3.signing import MAX_EXPIRES

_OWN = frozenset({b"AWSAccessKeyId", b"Signature", b"Expires"})
_SIGNED = frozenset(
    {
        b"acl",
        b"delete",
        b"lifecycle",
        b"location",
        b"object-lock",
        b"partNumber",
        b"policy",
        b"response-cache-control",
        b"response-content-disposition",
        b"response-content-encoding",
        b"response-content-language",
        b"response-content-type",
        b"response-expires",
        b"tagging",
        b"uploadId",
        b"uploads",
        b"versionId",
        b"versioning",
        b"versions",
    }
)


@dataclass(frozen=True, slots=True)
class OldClaim:
    """Who a URL says it is from. :ivar expires: seconds since 1970, as it stands there. :ivar signature: base64."""

    access_key: str
    expires: str
    signature: str


def read_old_claim(query: list[tuple[bytes, bytes]], headers: Mapping[str, str]) -> OldClaim | None:
    """The claim in a query, None when it has none of this kind.

    :raises S3Error: AccessDenied: it is not the only one, or there is something that it does not sign.
    """
    found = {name: value.decode("utf-8", "replace") for name, value in query if name in _OWN}
    if set(found) != _OWN:
        return None
    names = [name for name, _ in query]
    if len(set(names)) != len(names) or not set(names) <= _OWN | _SIGNED or "authorization" in headers:
        raise S3Error(Code.AccessDenied, "A URL of signature version 2 may hold only what it signs; use version 4.")
    return OldClaim(found[b"AWSAccessKeyId"], found[b"Expires"], found[b"Signature"])


def check_old_claim(
    claim: OldClaim,
    secret: str,
    method: str,
    path: str,
    query: list[tuple[bytes, bytes]],
    headers: Mapping[str, str],
    *,
    now: float,
) -> None:
    """Whether the URL is signed with `secret`, and not expired.

    :param path: as it came, encoded, with the bucket in front. :param now: seconds since 1970.
    :raises S3Error: SignatureDoesNotMatch, AccessDenied; both are 403.
    """
    expires = parse_number(claim.expires)
    if expires is None or expires - now > MAX_EXPIRES:
        raise S3Error(Code.AccessDenied, f"Expires must be a time within {MAX_EXPIRES} seconds.")
    if now > expires:
        raise S3Error(Code.AccessDenied, "The request has expired.")
    text = _string_to_sign(claim.expires, method, path, query, headers).encode("utf-8", "surrogateescape")
    signature = base64.b64encode(hmac.digest(secret.encode(), text, "sha1")).decode()
    if not hmac.compare_digest(signature.encode(), claim.signature.encode()):
        raise S3Error(Code.SignatureDoesNotMatch)


def _string_to_sign(
    expires: str, method: str, path: str, query: list[tuple[bytes, bytes]], headers: Mapping[str, str]
) -> str:
    lines = [method, headers.get("content-md5", "").strip(), headers.get("content-type", "").strip(), expires]
    lines += [f"{name}:{headers[name].strip()}" for name in sorted(headers) if name.startswith("x-amz-")]
    signed = sorted((name.decode(), value.decode("utf-8", "replace")) for name, value in query if name in _SIGNED)
    resource = "&".join(f"{name}={value}" if value else name for name, value in signed)
    return "\n".join([*lines, f"{path}?{resource}" if resource else path])
