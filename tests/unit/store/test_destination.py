"""Destinations as values."""

from __future__ import annotations

import pytest

from drystone.base.errors import DrystoneError, UnsupportedError, UsageError
from drystone.store.destination import (
    AzurePlace,
    FolderPlace,
    GcsPlace,
    MemoryPlace,
    Place,
    S3Place,
    parse_destination,
)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("/srv/backup", FolderPlace("/srv/backup")),
        ("backup%20 x", FolderPlace("backup%20 x")),
        ("./s3:bucket", FolderPlace("./s3:bucket")),
        ("a:b", FolderPlace("a:b")),
        ("/srv/\udcff", FolderPlace("/srv/\udcff")),
        ("vfs:///srv/backup/", FolderPlace("/srv/backup/")),
        ("file:///srv", FolderPlace("/srv")),
        ("s3://bucket", S3Place("bucket", "", "")),
        ("s3://bucket/", S3Place("bucket", "", "")),
        ("s3://bucket@eu-west-1", S3Place("bucket", "eu-west-1", "")),
        ("s3://bucket@eu-west-1/", S3Place("bucket", "eu-west-1", "")),
        ("s3://bucket@eu-west-1/a/b.c/", S3Place("bucket", "eu-west-1", "a/b.c")),
        ("s3a://my.bucket/a=1/with blank", S3Place("my.bucket", "", "a=1/with blank")),
        ("gs://bucket/a/", GcsPlace("bucket", "a")),
        ("az://container/a", AzurePlace("container", "", "a")),
        ("azure://container", AzurePlace("container", "", "")),
        ("abfss://container@account.dfs.core.windows.net/a", AzurePlace("container", "account", "a")),
        ("memory:", MemoryPlace("", "")),
        ("memory:name/a", MemoryPlace("name", "a")),
        ("memory://name/a", MemoryPlace("name", "a")),
    ],
)
def test_spellings(url: str, place: Place) -> None:
    assert parse_destination(url) == place


@pytest.mark.parametrize(
    "url",
    [
        "", "vfs://", "vfs://relative", "file://x", "s3://", "s3:///path", "s3://@region/x", "s3://bucket@/x",
        "s3://bu cket", "s3://bucket/../x", "s3://bucket/a//b", "s3://bucket/.", "s3://bucket/a?b", "s3://bucket/a%20b",
        "s3://bucket/a\nb", "s3://bucket/ä", "s3://bucket/" + "a" * 401, "gs://", "gs://bucket@region", "az://",
        "az://container@/x", "memory:a b", "memory:/../x", "s3:bucket", "s3:/bucket/x", "gs:bucket", "vfs:/srv/backup",
        "file:x", "a\0b", "vfs:///a\0b", "/a\ud800",
    ],
)  # fmt: skip
def test_wrong_ones(url: str) -> None:
    with pytest.raises(UsageError):
        parse_destination(url)


def test_a_key_in_a_destination_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        parse_destination("s3://AKIA:topsecret@bucket/x")
    assert "topsecret" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://localhost/", "ftp://x", "://", "x" * 100 + "://y"])
def test_other_schemes_are_named(url: str) -> None:
    with pytest.raises(UnsupportedError, match="s3://") as caught:
        parse_destination(url)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("place", [S3Place("b", "r", "p"), GcsPlace("b", "p"), AzurePlace("b", "a", "p")])
def test_their_names_are_destinations(place: S3Place | GcsPlace | AzurePlace) -> None:
    assert not isinstance(parse_destination(str(place)), FolderPlace | DrystoneError)
