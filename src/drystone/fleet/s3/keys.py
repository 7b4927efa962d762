"""Names of buckets and of objects: what is allowed. The S3 API reference, "Naming buckets", "Naming objects"."""

from __future__ import annotations

import re

from drystone.fleet.s3.errors import Code, S3Error

MAX_KEY = 1024
"""Bytes of UTF-8 in a key."""
RESERVED = frozenset({"api", "internal"})
"""No bucket's name: these paths are other interfaces of the same server."""
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}", re.ASCII)
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)


def check_new_bucket(name: str) -> None:
    """Whether a bucket of this name may be made: 3 to 63 of `a-z0-9.-`, no address, nothing reserved.

    :raises S3Error: InvalidBucketName.
    """
    wrong = (
        _BUCKET.fullmatch(name) is None
        or _ADDRESS.fullmatch(name) is not None
        or name in RESERVED
        or any(pair in name for pair in ("..", ".-", "-."))
    )
    if wrong:
        raise S3Error(Code.InvalidBucketName, BucketName=name[:255])


def is_namespace(name: str) -> bool:
    """Whether `name` can be that of a bucket or of a namespace made by the legacy interface (capitals, `_`, short)."""
    return _NAMESPACE.fullmatch(name) is not None and name not in RESERVED


def check_key(key: str) -> None:
    """Whether `key` may be an object's: 1 to 1,024 bytes of UTF-8, any characters but NUL.

    :raises S3Error: KeyTooLongError, InvalidArgument.
    """
    if not key:
        raise S3Error(Code.InvalidArgument, "The key is empty.")
    if "\0" in key:
        raise S3Error(Code.InvalidArgument, "The key has a NUL character.")
    if len(key) > MAX_KEY or len(key.encode()) > MAX_KEY:
        raise S3Error(Code.KeyTooLongError, MaxSizeAllowed=MAX_KEY)
