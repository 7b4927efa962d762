"""S3's checksums of a body: computed while it passes, checked against what the client stated, combined for parts.

Values are base64 of the big-endian digest, as in the x-amz-checksum-* headers. The S3 API reference, "Checking object
integrity". CRCs come from awscrt, whose library is imported when the first sum is made.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from drystone.fleet.objects import PutOptions, UploadInfo
from drystone.fleet.s3.errors import Code, S3Error

SIZES = {"crc32": 4, "crc32c": 4, "crc64nvme": 8, "sha1": 20, "sha256": 32}
"""The algorithms by their names in headers, and the length of their digests in bytes."""
FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"


class Sum(Protocol):
    """One running sum."""

    def update(self, data: bytes | memoryview, /) -> object: ...

    def digest(self) -> bytes: ...


class _Crc:
    """A CRC of awscrt as a running sum."""

    def __init__(self, name: str) -> None:
        self._run = getattr(_awscrt(), name)
        self._size = SIZES[name]
        self._value = 0

    def update(self, data: bytes | memoryview, /) -> None:
        self._value = self._run(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def _awscrt() -> Any:
    import awscrt.checksums  # type: ignore[import-untyped]

    return awscrt.checksums


def make_sum(name: str) -> Sum:
    """A running sum of one of SIZES, or of "md5"."""
    if name.startswith("crc"):
        return _Crc(name)
    return hashlib.new(name, usedforsecurity=False)


def parse_checksum(name: str, text: str) -> bytes:
    """The digest that a header states in base64.

    :raises S3Error: InvalidRequest: it is not one of the algorithm `name`.
    """
    try:
        digest = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != SIZES[name]:
        raise S3Error(Code.InvalidRequest, f"Value for x-amz-checksum-{name} header is invalid.")
    return digest


def format_checksum(digest: bytes) -> str:
    """As headers have it: base64."""
    return base64.b64encode(digest).decode("ascii")


class Sums:
    """What `options` says must be known of a body, computed as it passes; for one thread at a time.

    :param options: its `md5`, `sha256` and `checksums` (value "" for: compute and keep) are checked by `finish`.
    :param md5: False when the caller computes the MD5 itself and compares it with `options.md5`.
    """

    def __init__(self, options: PutOptions, *, md5: bool = True) -> None:
        self._options = options
        names = {*options.checksums, *(["sha256"] if options.sha256 else [])}
        self._sums = {name: make_sum(name) for name in sorted(names)}
        self._md5 = make_sum("md5") if md5 else None
        self.size = 0

    @property
    def md5(self) -> str:
        """MD5 in hex of what came so far; "" when it is not computed here."""
        return self._md5.digest().hex() if self._md5 is not None else ""

    def update(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        self.size += len(data)
        if self._md5 is not None:
            self._md5.update(data)
        for each in self._sums.values():
            each.update(data)

    def finish(self, trailers: Mapping[str, str]) -> dict[str, str]:
        """Compare with everything that was stated, in the headers or in `trailers`.

        :returns: checksums to keep with the object (as `ObjectInfo.checksums`).
        :raises S3Error: IncompleteBody, BadDigest, XAmzContentSHA256Mismatch.
        """
        options = self._options
        if options.size is not None and self.size != options.size:
            raise S3Error(Code.IncompleteBody)
        if options.sha256 and not hmac.compare_digest(self._sums["sha256"].digest().hex(), options.sha256):
            raise S3Error(Code.XAmzContentSHA256Mismatch)
        if options.md5 and self._md5 is not None and not hmac.compare_digest(self.md5, options.md5):
            raise S3Error(Code.BadDigest, "Content-MD5 differs from that of the bytes that came.")
        kept: dict[str, str] = {}
        for name, stated in {
            **options.checksums,
            **{k: v for k, v in trailers.items() if k in options.checksums},
        }.items():
            kept[name] = format_checksum(self._sums[name].digest())
            if stated and not hmac.compare_digest(kept[name], stated):
                raise S3Error(Code.BadDigest, f"The {name.upper()} you specified did not match what was received.")
        return kept


def combine_full(name: str, parts: Sequence[tuple[str, int]]) -> str:
    """The CRC of all parts in a row.

    :param name: one of the CRCs. :param parts: (checksum in base64, size in bytes) of each; one at least.
    """
    combine = getattr(_awscrt(), f"combine_{name}")
    value = 0
    for index, (text, size) in enumerate(parts):
        part = int.from_bytes(parse_checksum(name, text), "big")
        value = combine(value, part, size) if index else part
    return format_checksum(value.to_bytes(SIZES[name], "big"))


def combine_composite(name: str, parts: Iterable[str]) -> str:
    """The checksum of the parts' checksums, with `-` and how many there are."""
    total, count = make_sum(name), 0
    for text in parts:
        total.update(parse_checksum(name, text))
        count += 1
    return f"{format_checksum(total.digest())}-{count}"


def combine_etags(etags: Sequence[str]) -> str:
    """The ETag of an object of parts: the MD5 of their MD5s in hex, `-` and how many there are."""
    return f"{hashlib.md5(bytes.fromhex(''.join(etags)), usedforsecurity=False).hexdigest()}-{len(etags)}"


def with_sums_of(upload: UploadInfo, options: PutOptions) -> PutOptions:
    """A part's options, with the upload's algorithm where the client states nothing: the whole needs it of each."""
    wanted = dict.fromkeys(upload.options.checksums, "")
    return dataclasses.replace(options, checksums=wanted | options.checksums)


def check_complete(
    options: PutOptions, name: str, kind: str, parts: Sequence[tuple[str, int]]
) -> tuple[dict[str, str], str]:
    """The checksum of an object that is completed from parts.

    :param options: of the completion: `checksums` may state the whole object's. :param name: the upload's algorithm,
        "" for none. :param kind: FULL_OBJECT or COMPOSITE. :param parts: (checksum, size) of each in order.
    :returns: checksums to keep, and their kind. :raises S3Error: BadDigest.
    """
    if not name or not parts or not all(text for text, _ in parts):
        return {}, ""
    kind = kind or (FULL_OBJECT if name == "crc64nvme" else COMPOSITE)
    if kind == FULL_OBJECT and name.startswith("crc"):
        value = combine_full(name, parts)
    else:
        kind, value = COMPOSITE, combine_composite(name, (text for text, _ in parts))
    stated = options.checksums.get(name, "")
    if stated and not hmac.compare_digest(stated.partition("-")[0], value.partition("-")[0]):
        raise S3Error(Code.BadDigest, f"The {name.upper()} you specified did not match the calculated checksum.")
    return {name: value}, kind
