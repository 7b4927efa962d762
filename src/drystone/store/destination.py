"""Destinations as values: what a URL such as `s3://bucket@region/path/` names.

The text is taken as it stands, without percent-decoding: a backup's URL gives its destination verbatim.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass

from drystone.base.errors import UnsupportedError, UsageError

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_PREFIX_WORD = re.compile(r"[A-Za-z0-9_.=+@, -]+")
_LONGEST_PREFIX = 400
"""Characters; together with the longest key this is below the 1,024 bytes that the stores allow."""


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """A folder of this machine."""

    path: str


@dataclass(frozen=True, slots=True)
class S3Place:
    """A bucket of Amazon S3 or of a server that speaks its protocol; `region` is "" when the URL names none."""

    bucket: str
    region: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}"


@dataclass(frozen=True, slots=True)
class GcsPlace:
    """A bucket of Google Cloud Storage."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"gs://{self.bucket}"


@dataclass(frozen=True, slots=True)
class AzurePlace:
    """A container of Azure Blob Storage; `account` is "" when the environment is to name it."""

    container: str
    account: str
    prefix: str

    def __str__(self) -> str:
        return f"az://{self.container}"


@dataclass(frozen=True, slots=True)
class MemoryPlace:
    """Memory of this process; gone when it ends. `name` tells several apart."""

    name: str
    prefix: str

    def __str__(self) -> str:
        return f"memory:{self.name}"


RemotePlace = S3Place | GcsPlace | AzurePlace | MemoryPlace
Place = FolderPlace | RemotePlace


def parse_destination(url: str) -> Place:
    """What a destination names; a text without a scheme is the path of a folder.

    :raises UsageError: it is empty, or wrong for its scheme. Text that may hold a password is not repeated.
    :raises UnsupportedError: a scheme that no store here serves.
    """
    if not url:
        raise UsageError("the destination is empty", hint="name a folder or a bucket: vfs:///srv/backup, s3://bucket")
    if url.startswith("memory:"):
        return _parse_memory(url.removeprefix("memory:").removeprefix("//"))
    scheme, found, rest = url.partition("://")
    if not found:
        return _parse_path(url)
    parse = _SCHEMES.get(scheme)
    if parse is None:
        raise UnsupportedError(
            f"destinations {scheme[:40]}:// are not served",
            hint=f"known are {', '.join(f'{each}://' for each in _SCHEMES)} and memory:",
            scheme=scheme,
        )
    return parse(rest)


def _parse_path(path: str) -> FolderPlace:
    """The path of a folder as it stands; `s3:bucket` and its like are a bucket's with a slip, and no folder's."""
    scheme, found, _ = path.partition(":")
    if found and scheme in _SCHEMES:
        raise UsageError(
            f"{f'{scheme}:'!r} is the beginning of a destination with two slashes missing",
            hint=f"write {scheme}://..., or ./{scheme}:... for a folder of that name",
        )
    try:
        fits = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise UsageError(f"{path[:80]!a} is no path of a folder")
    return FolderPlace(path)


def _parse_folder(rest: str) -> FolderPlace:
    if not rest.startswith("/"):
        raise UsageError(
            f"destination {f'vfs://{rest}'!r} has no absolute path", hint="write vfs:///srv/backup, three slashes"
        )
    return _parse_path(rest)


def _parse_s3(rest: str) -> S3Place:
    """`bucket[@region][/prefix]`: Convoy's spelling, and the usual one without a region."""
    place, _, prefix = rest.partition("/")
    bucket, found, region = place.partition("@")
    if ":" in place:
        raise UsageError(
            "an s3:// destination holds no key and no port",
            hint="keys come from the environment, an endpoint from AWS_ENDPOINT_URL",
        )
    if not _NAME.fullmatch(bucket) or (found and not _NAME.fullmatch(region)):
        raise UsageError(f"destination {f's3://{place}'!r} names no bucket", hint="write s3://bucket@region/path/")
    return S3Place(bucket, region, _parse_prefix(prefix))


def _parse_gcs(rest: str) -> GcsPlace:
    bucket, _, prefix = rest.partition("/")
    if not _NAME.fullmatch(bucket):
        raise UsageError("a gs:// destination names no bucket", hint="write gs://bucket/path")
    return GcsPlace(bucket, _parse_prefix(prefix))


def _parse_azure(rest: str) -> AzurePlace:
    """`container[/prefix]`, or `container@account.dfs.core.windows.net[/prefix]` as abfss:// has it."""
    place, _, prefix = rest.partition("/")
    container, found, host = place.partition("@")
    account = host.partition(".")[0]
    if not _NAME.fullmatch(container) or (found and not _NAME.fullmatch(account)):
        raise UsageError("an az:// destination names no container", hint="write az://container/path")
    return AzurePlace(container, account, _parse_prefix(prefix))


def _parse_memory(rest: str) -> MemoryPlace:
    name, _, prefix = rest.partition("/")
    if name and not _NAME.fullmatch(name):
        raise UsageError(f"{f'memory:{name}'[:80]!r} is no name of a store in memory", hint="write memory:name")
    return MemoryPlace(name, _parse_prefix(prefix))


def _parse_prefix(text: str) -> str:
    """The path within a bucket, without slashes at its ends; "" for none."""
    prefix = text.strip("/")
    words = prefix.split("/") if prefix else []
    if len(prefix) > _LONGEST_PREFIX or any(not _PREFIX_WORD.fullmatch(word) or word in {".", ".."} for word in words):
        raise UsageError(
            f"{prefix[:80]!r} is no path within a bucket",
            hint=f"up to {_LONGEST_PREFIX} characters A-Z a-z 0-9 _ . = + @ , - and blanks between single slashes",
        )
    return prefix


_SCHEMES: dict[str, Callable[[str], Place]] = {
    "vfs": _parse_folder,
    "file": _parse_folder,
    "s3": _parse_s3,
    "s3a": _parse_s3,
    "gs": _parse_gcs,
    "az": _parse_azure,
    "azure": _parse_azure,
    "abfss": _parse_azure,
}
