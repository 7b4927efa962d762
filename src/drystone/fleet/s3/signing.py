"""AWS Signature Version 4 for S3: checked at a server, made for our own clients.

From "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference. Signature version 2 is not offered.
Signatures for any region are taken. Whatever is wrong with a signature is answered with status 403.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from drystone.fleet.s3 import target
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.moments import format_stamp, parse_stamp
from drystone.fleet.s3.numbers import parse_number

SKEW_SECONDS = 15 * 60
MAX_EXPIRES = 7 * 86400
"""Seconds that a presigned URL may be good for."""
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
_ALGORITHM = "AWS4-HMAC-SHA256"
_CREDENTIAL = re.compile(r"([^/\s,]{1,128})/(\d{8})/([A-Za-z0-9-]{1,64})/s3/aws4_request", re.ASCII)
_HEADER = re.compile(
    rf"{_ALGORITHM}\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-f]{{64}})\s*", re.ASCII
)
_HEX64 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who a request says it is from, and its proof.

    :ivar date: of the scope, YYYYMMDD. :ivar stamp: x-amz-date. :ivar expires: seconds after it, for a presigned URL;
        None for a header. :ivar payload: x-amz-content-sha256.
    """

    access_key: str
    date: str
    region: str
    stamp: str
    signed_headers: tuple[str, ...]
    signature: str
    payload: str
    expires: int | None = None

    @property
    def scope(self) -> str:
        """What the signing key is good for."""
        return f"{self.date}/{self.region}/s3/aws4_request"


@dataclass(frozen=True, slots=True)
class Chain:
    """What the signatures of a body's chunks are made with: each signs the one before, the first the request's.

    :ivar key: the signing key, of the date and region. :ivar seed: the request's signature.
    """

    key: bytes
    stamp: str
    scope: str
    seed: str

    def sign_chunk(self, previous: str, sha256: str) -> str:
        """The signature of a chunk. :param previous: the one before. :param sha256: of the chunk's bytes, hex."""
        return self._sign("AWS4-HMAC-SHA256-PAYLOAD", previous, f"{EMPTY_SHA256}\n{sha256}")

    def sign_trailers(self, previous: str, trailers: bytes) -> str:
        """The signature of the trailers. :param trailers: `name:value` and a line feed for each."""
        return self._sign("AWS4-HMAC-SHA256-TRAILER", previous, hashlib.sha256(trailers).hexdigest())

    def _sign(self, kind: str, previous: str, rest: str) -> str:
        return _hmac(self.key, f"{kind}\n{self.stamp}\n{self.scope}\n{previous}\n{rest}").hex()


def join_headers(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Headers by their names in lower case; values of one name are joined by commas."""
    found: dict[str, str] = {}
    for given, value in pairs:
        name = given.lower()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _hmac(key: bytes, text: str) -> bytes:
    # Not hmac.digest: that lets go of the interpreter's lock, and waits for the disks' threads to get it back.
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), "sha256").digest()


@lru_cache(maxsize=256)
def signing_key(secret: str, date: str, region: str) -> bytes:
    """The key of a day and a region, derived from the secret."""
    return _hmac(_hmac(_hmac(_hmac(f"AWS4{secret}".encode(), date), region), "s3"), "aws4_request")


def string_to_sign(
    method: str,
    path: str,
    query: list[tuple[bytes, bytes]],
    headers: Mapping[str, str],
    signed_headers: Sequence[str],
    *,
    payload: str,
    stamp: str,
    scope: str,
) -> str:
    """What is signed. :param path: as signed, encoded. :param headers: by lower-case names; one that lacks is ""."""
    lines = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in signed_headers)
    request = "\n".join(
        (
            method,
            path,
            target.canonical_query(query),
            lines,
            ";".join(signed_headers),
            payload,
        )
    )
    digest = hashlib.sha256(request.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{_ALGORITHM}\n{stamp}\n{scope}\n{digest}"


def read_claim(query: list[tuple[bytes, bytes]], headers: Mapping[str, str]) -> Claim:
    """The claim in a request's header or query.

    :raises S3Error: AccessDenied when there is none, or both; AuthorizationHeaderMalformed.
    """
    named = {name: value.decode("utf-8", "replace") for name, value in query if name.startswith(b"X-Amz-")}
    presigned = b"X-Amz-Signature" in named or b"X-Amz-Algorithm" in named
    authorization = headers.get("authorization", "")
    if presigned == bool(authorization):
        raise S3Error(Code.AccessDenied)
    if "x-amz-security-token" in headers or b"X-Amz-Security-Token" in named:
        raise S3Error(Code.AccessDenied, "Session tokens are not offered.")
    if authorization:
        found = _HEADER.fullmatch(authorization.strip())
        if found is None:
            raise S3Error(Code.AuthorizationHeaderMalformed)
        credential, signed, signature = found.groups()
        payload = headers.get("x-amz-content-sha256", "")
        if not payload:
            raise S3Error(Code.AccessDenied, "The header x-amz-content-sha256 is missing.")
        stamp, expires = headers.get("x-amz-date", ""), None
    else:
        if named.get(b"X-Amz-Algorithm") != _ALGORITHM:
            raise S3Error(Code.AccessDenied)
        credential, signed = named.get(b"X-Amz-Credential", ""), named.get(b"X-Amz-SignedHeaders", "")
        signature, stamp = named.get(b"X-Amz-Signature", ""), named.get(b"X-Amz-Date", "")
        payload = headers.get("x-amz-content-sha256", "") or named.get(b"X-Amz-Content-Sha256", UNSIGNED_PAYLOAD)
        expires = _read_expires(named.get(b"X-Amz-Expires", ""))
    scope = _CREDENTIAL.fullmatch(credential)
    if scope is None or _HEX64.fullmatch(signature) is None:
        raise S3Error(Code.AuthorizationHeaderMalformed)
    names = tuple(signed.split(";"))
    return Claim(scope[1], scope[2], scope[3], stamp, names, signature, payload, expires)


def _read_expires(text: str) -> int:
    found = parse_number(text)
    if found is None or not 1 <= found <= MAX_EXPIRES:
        raise S3Error(Code.AccessDenied, f"X-Amz-Expires must be between 1 and {MAX_EXPIRES} seconds.")
    return found


def check_claim(
    claim: Claim,
    secret: str,
    method: str,
    path: str,
    query: list[tuple[bytes, bytes]],
    headers: Mapping[str, str],
    *,
    now: float,
) -> Chain:
    """Whether the request is signed with `secret`, now.

    :param path: as it came, encoded. :param now: seconds since 1970.
    :returns: what the body's chunks are signed with.
    :raises S3Error: SignatureDoesNotMatch, RequestTimeTooSkewed, AccessDenied; all are 403.
    """
    _check_time(claim, now)
    unsigned = [name for name in headers if name.startswith("x-amz-") and name not in claim.signed_headers]
    if "host" not in claim.signed_headers or unsigned:
        raise S3Error(Code.AccessDenied, "The signature must cover the header host and all that begin with x-amz-.")
    key = signing_key(secret, claim.date, claim.region)
    # Some clients sign the path in the spelling they send it in: it binds them to the same request.
    for spelling in dict.fromkeys((target.canonical_path(path), path)):
        text = string_to_sign(
            method,
            spelling,
            query,
            headers,
            claim.signed_headers,
            payload=claim.payload,
            stamp=claim.stamp,
            scope=claim.scope,
        )
        if hmac.compare_digest(_hmac(key, text).hex(), claim.signature):
            return Chain(key, claim.stamp, claim.scope, claim.signature)
    raise S3Error(Code.SignatureDoesNotMatch)


def _check_time(claim: Claim, now: float) -> None:
    try:
        made = parse_stamp(claim.stamp)
    except ValueError as error:
        raise S3Error(Code.AccessDenied, "x-amz-date is missing or malformed.") from error
    if claim.stamp[:8] != claim.date:
        raise S3Error(Code.AuthorizationHeaderMalformed, "The credential's date is not that of x-amz-date.")
    if claim.expires is None:
        if abs(now - made) > SKEW_SECONDS:
            raise S3Error(Code.RequestTimeTooSkewed)
        return
    if made - now > SKEW_SECONDS:
        raise S3Error(Code.AccessDenied, "The request is not valid yet.")
    if now > made + claim.expires:
        raise S3Error(Code.AccessDenied, "The request has expired.")


def sign_request(
    method: str,
    url_target: str,
    headers: Mapping[str, str],
    access_key: str,
    secret: str,
    *,
    now: float,
    region: str = "us-east-1",
    payload: str = UNSIGNED_PAYLOAD,
) -> dict[str, str]:
    """The headers that our own client sends, with the signature among them.

    :param url_target: path and query, encoded. :param headers: to be signed, `host` among them, by lower-case names.
    :param payload: SHA-256 of the body in hex, or what x-amz-content-sha256 says instead.
    """
    path, query = target.split_target(url_target)
    stamp = format_stamp(now)
    signed = {**headers, "x-amz-date": stamp, "x-amz-content-sha256": payload}
    names, scope = sorted(signed), f"{stamp[:8]}/{region}/s3/aws4_request"
    path = target.canonical_path(path)
    text = string_to_sign(
        method, path, target.query_pairs(query), signed, names, payload=payload, stamp=stamp, scope=scope
    )
    signature = _hmac(signing_key(secret, stamp[:8], region), text).hex()
    signed["authorization"] = (
        f"{_ALGORITHM} Credential={access_key}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    return signed


def presign(
    method: str,
    url_target: str,
    host: str,
    access_key: str,
    secret: str,
    *,
    now: float,
    expires: int,
    region: str = "us-east-1",
) -> str:
    """A target (path and query) that is good for `expires` seconds without any header but `host`."""
    path, query = target.split_target(url_target)
    stamp = format_stamp(now)
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    pairs = [
        *target.query_pairs(query),
        (b"X-Amz-Algorithm", _ALGORITHM.encode()),
        (b"X-Amz-Credential", f"{access_key}/{scope}".encode()),
        (b"X-Amz-Date", stamp.encode()),
        (b"X-Amz-Expires", str(expires).encode()),
        (b"X-Amz-SignedHeaders", b"host"),
    ]
    path = target.canonical_path(path)
    text = string_to_sign(
        method, path, pairs, {"host": host}, ["host"], payload=UNSIGNED_PAYLOAD, stamp=stamp, scope=scope
    )
    signature = _hmac(signing_key(secret, stamp[:8], region), text).hex()
    return f"{path}?{target.canonical_query(pairs)}&X-Amz-Signature={signature}"
