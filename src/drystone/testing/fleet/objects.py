"""What every implementation of `Objects` (with its `Catalog`) must do: the fleet passes it, and so does memory.

for check in CONFORMANCE:
    await check(objects, catalog)

Each check makes a bucket of its own; keys have hosts, so that several placements are met.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from drystone.fleet.gateway.catalog import Catalog
from drystone.fleet.objects import Conditions, ObjectInfo, Objects, PutOptions
from drystone.fleet.s3.checksums import format_checksum, make_sum
from drystone.fleet.s3.errors import Code, S3Error
from drystone.testing.fleet import object_uploads as uploads
from drystone.testing.fleet.bodies import PIECE, BytesBody, digest_of, make_bucket, make_bytes, put, read, refuses

Check: TypeAlias = Callable[[Objects, Catalog], Awaitable[None]]
ODD_KEYS = (
    "a",
    "a/b",
    "a/b/c",
    "a//b",
    "a/",
    "a/../b",
    "../../etc/passwd",
    "./a",
    "/leading",
    "//",
    ".drystone/disk.json",
    "h/.drystone/index.db",
    "h/\u00e9",
    "h/e\u0301",
    "h/\x01\x1f\x7f\u0085",
    "h/line\nfeed",
    "h/\\",
    "h/%2F",
    "h/%",
    "h/+ &=?#",
    "h/" + "long" * 250,
    "h/" + "x" * 256,
    "h/\ud7ff\ue000\U0001f600\uffff",
    " ",
    "h/CON",
    "h/case",
    "h/CASE",
    "h/trailing.",
    "h/trailing ",
)
"""Keys that a file system cannot hold as they are, or holds as one, or that lead elsewhere in one."""


async def check_round_trip(objects: Objects, catalog: Catalog) -> None:
    """What was put is there, with all that was said about it."""
    bucket = await make_bucket(catalog, "round-trip")
    for size in (0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 17):
        data = make_bytes(size)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        options = PutOptions(
            size=size,
            md5=md5,
            sha256=hashlib.sha256(data).hexdigest(),
            checksums={"crc32c": ""},
            headers={"content-type": "text/plain"},
            user={"name": "v\u00e4lue"},
            tags={"a": "b"},
        )
        made = await objects.put(bucket, f"host/file-{size}", BytesBody(data), options)
        found = await objects.head(bucket, f"host/file-{size}")
        assert made == found
        assert (found.size, found.etag, found.digest) == (size, md5, digest_of(data))
        assert (found.headers, found.user, found.tags) == (options.headers, options.user, options.tags)
        sum_ = make_sum("crc32c")
        sum_.update(data)
        assert found.checksums == {"crc32c": format_checksum(sum_.digest())}
        assert (found.version_id, found.latest, found.delete_marker) == ("null", True, False)
        assert await read(objects, bucket, found) == data


async def check_open(objects: Objects, catalog: Catalog) -> None:
    """What is opened is what head and read say; a delete marker has no bytes."""
    bucket = await make_bucket(catalog, "opened", "Enabled")
    for size in (0, 4, (3 << 20) + 1):
        key, data = f"host/{size}", make_bytes(size, size)
        await put(objects, bucket, key, data)
        info, pieces = await objects.open(bucket, key)
        assert info == await objects.head(bucket, key)
        if pieces is not None:
            assert b"".join([bytes(each) async for each in pieces]) == data
        assert await read(objects, bucket, info) == data
        assert await objects.delete(bucket, key) is not None
        marker, none = await objects.open(bucket, key)
        assert (marker.delete_marker, none) == (True, None)
        assert (await objects.open(bucket, key, info.version_id))[0].version_id == info.version_id
    await refuses(Code.NoSuchKey, objects.open(bucket, "host/none"))


async def check_ranges(objects: Objects, catalog: Catalog) -> None:
    """Any range of bytes can be read."""
    bucket, data = await make_bucket(catalog, "ranges"), make_bytes(2 * PIECE + 5)
    info = await put(objects, bucket, "host/file", data)
    edges = (0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, len(data) - 1, len(data))
    for begin in edges:
        for end in edges:
            if begin < end:
                assert await read(objects, bucket, info, begin, end) == data[begin:end]


async def check_overwrite(objects: Objects, catalog: Catalog) -> None:
    """A put replaces what was there, and its version number grows; the version before is gone."""
    bucket = await make_bucket(catalog, "overwrite")
    first = await put(objects, bucket, "host/file", b"first")
    second = await put(objects, bucket, "host/file", b"second")
    assert second.seq > first.seq
    assert await read(objects, bucket, await objects.head(bucket, "host/file")) == b"second"
    await refuses(Code.NoSuchKey, read(objects, bucket, first))


async def check_refused_put(objects: Objects, catalog: Catalog) -> None:
    """A put whose bytes are not what was stated changes nothing."""
    bucket, key, data = await make_bucket(catalog, "refused"), "host/file", make_bytes(PIECE + 3)
    before = await put(objects, bucket, key, b"before")
    size, wrong = len(data), format_checksum(bytes(4))
    cases: tuple[tuple[Code, PutOptions, BytesBody], ...] = (
        (Code.BadDigest, PutOptions(size=size, md5="0" * 32), BytesBody(data)),
        (Code.XAmzContentSHA256Mismatch, PutOptions(size=size, sha256="0" * 64), BytesBody(data)),
        (Code.BadDigest, PutOptions(size=size, checksums={"crc32": wrong}), BytesBody(data)),
        (
            Code.BadDigest,
            PutOptions(size=size, checksums={"crc32": ""}),
            BytesBody(data, trailers={"crc32": wrong}),
        ),
        (Code.IncompleteBody, PutOptions(size=size), BytesBody(data, error=S3Error(Code.IncompleteBody))),
        (Code.IncompleteBody, PutOptions(size=size + 1), BytesBody(data)),
        (
            Code.SignatureDoesNotMatch,
            PutOptions(size=size),
            BytesBody(data, error=S3Error(Code.SignatureDoesNotMatch)),
        ),
    )
    for code, options, body in cases:
        await refuses(code, objects.put(bucket, key, body, options))
        assert await objects.head(bucket, key) == before
        await refuses(code, objects.put(bucket, "host/other", body, options))
        await refuses(Code.NoSuchKey, objects.head(bucket, "host/other"))


async def check_trailers(objects: Objects, catalog: Catalog) -> None:
    """A checksum that comes after the body is compared and kept."""
    bucket, data = await make_bucket(catalog, "trailers"), make_bytes(1000)
    for name in ("crc32", "crc32c", "crc64nvme", "sha1", "sha256"):
        sum_ = make_sum(name)
        sum_.update(data)
        value = format_checksum(sum_.digest())
        body = BytesBody(data, trailers={name: value})
        info = await objects.put(bucket, "host/file", body, PutOptions(size=1000, checksums={name: ""}))
        assert (info.checksums, info.checksum_type) == ({name: value}, "FULL_OBJECT")


async def check_conditions(objects: Objects, catalog: Catalog) -> None:
    """If-Match and If-None-Match decide about puts and deletions."""
    bucket, key = await make_bucket(catalog, "conditions"), "host/file"
    absent, other = Conditions(if_none_match=("*",)), Conditions(if_match=("0" * 32,))
    await refuses(Code.NoSuchKey, put(objects, bucket, key, options=PutOptions(size=4, conditions=other)))
    first = await put(objects, bucket, key, options=PutOptions(size=4, conditions=absent))
    await refuses(Code.PreconditionFailed, put(objects, bucket, key, options=PutOptions(size=4, conditions=absent)))
    await refuses(Code.PreconditionFailed, put(objects, bucket, key, options=PutOptions(size=4, conditions=other)))
    await refuses(Code.PreconditionFailed, objects.delete(bucket, key, None, other))
    assert await objects.head(bucket, key) == first
    same = Conditions(if_match=(first.etag,))
    await put(objects, bucket, key, b"next", PutOptions(size=4, conditions=same))
    await refuses(Code.PreconditionFailed, objects.delete(bucket, key, None, same))
    await objects.delete(bucket, key, None, Conditions(if_match=("*",)))
    await refuses(Code.NoSuchKey, objects.head(bucket, key))


async def check_race(objects: Objects, catalog: Catalog) -> None:
    """Of several that may put only if nothing is there, one does."""
    bucket = await make_bucket(catalog, "race")
    options = PutOptions(size=1, conditions=Conditions(if_none_match=("*",)))
    results = await asyncio.gather(
        *(put(objects, bucket, "host/file", bytes([number]), options) for number in range(8)), return_exceptions=True
    )
    winners = [result for result in results if isinstance(result, ObjectInfo)]
    losers = [result for result in results if isinstance(result, S3Error)]
    assert len(winners) == 1
    assert {error.code for error in losers} <= {Code.PreconditionFailed, Code.OperationAborted}
    assert len(losers) == 7
    assert (await objects.head(bucket, "host/file")).etag == winners[0].etag


async def check_delete(objects: Objects, catalog: Catalog) -> None:
    """What is deleted is gone; deleting what is not there is no error."""
    bucket = await make_bucket(catalog, "delete")
    assert await objects.delete(bucket, "host/file") is None
    made = await put(objects, bucket, "host/file")
    removed = await objects.delete(bucket, "host/file")
    assert removed is not None
    assert (removed.key, removed.delete_marker) == ("host/file", False)
    await refuses(Code.NoSuchKey, objects.head(bucket, "host/file"))
    await refuses(Code.NoSuchKey, read(objects, bucket, made))
    assert (await objects.list(bucket, "", "", "", 10)).objects == ()


async def check_odd_keys(objects: Objects, catalog: Catalog) -> None:
    """Every key is an object of its own, whatever a file system makes of it."""
    bucket = await make_bucket(catalog, "odd-keys")
    for number, key in enumerate(ODD_KEYS):
        await put(objects, bucket, key, f"{number}".encode())
    for number, key in enumerate(ODD_KEYS):
        info = await objects.head(bucket, key)
        assert info.key == key
        assert await read(objects, bucket, info) == f"{number}".encode()
    listed = [info.key for info in (await objects.list(bucket, "", "", "", 1000)).objects]
    assert listed == sorted(ODD_KEYS, key=str.encode)
    for key in ODD_KEYS[::2]:
        await objects.delete(bucket, key)
    listed = [info.key for info in (await objects.list(bucket, "", "", "", 1000)).objects]
    assert listed == sorted(ODD_KEYS[1::2], key=str.encode)


async def _walk(
    objects: Objects, bucket: str, prefix: str, delimiter: str, limit: int, *, versions: bool = False
) -> list[str]:
    """All that a listing gives, page by page: keys (with their versions) and, marked, prefixes, in order."""
    found, after = [], ""
    for _ in range(1000):
        page = await objects.list(bucket, prefix, delimiter, after, limit, versions=versions)
        assert len(page.objects) + len(page.prefixes) <= limit
        named = [(info.key, index, f"{info.version_id}") for index, info in enumerate(page.objects)]
        entries = [(key, index, f"{key}@{version}" if versions else key) for key, index, version in named]
        entries += [(each, 0, f"<{each}>") for each in page.prefixes]
        found += [text for _, _, text in sorted(entries, key=lambda entry: (entry[0].encode(), entry[1]))]
        after = page.after
        if not after:
            return found
        assert page.objects or page.prefixes
    raise AssertionError("the listing does not end")


async def check_listing(objects: Objects, catalog: Catalog) -> None:
    """Listings are ordered, grouped by delimiter and cut into pages without loss or repetition."""
    bucket = await make_bucket(catalog, "listing")
    keys = ["a", "b/1", "b/2", "b/c/1", "b/c/2", "b/d", "c-", "c/", "c/x", "d/e/f", "top", "\u00fc/x", "z/1"]
    for key in keys:
        await put(objects, bucket, key)
    cases: tuple[tuple[str, str, list[str]], ...] = (
        ("", "", keys),
        ("", "/", ["a", "<b/>", "c-", "<c/>", "<d/>", "top", "<z/>", "<\u00fc/>"]),
        ("b/", "", ["b/1", "b/2", "b/c/1", "b/c/2", "b/d"]),
        ("b/", "/", ["b/1", "b/2", "<b/c/>", "b/d"]),
        ("b", "/", ["<b/>"]),
        ("c/", "/", ["c/", "c/x"]),
        ("", "b/", ["a", "<b/>", "c-", "c/", "c/x", "d/e/f", "top", "z/1", "\u00fc/x"]),
        ("d/e/f", "/", ["d/e/f"]),
        ("no", "/", []),
    )
    for prefix, delimiter, wanted in cases:
        ordered = sorted(wanted, key=lambda each: each.strip("<>").encode())
        for limit in (1, 2, 3, 1000):
            assert await _walk(objects, bucket, prefix, delimiter, limit) == ordered, (prefix, delimiter, limit)


async def check_listing_after(objects: Objects, catalog: Catalog) -> None:
    """`after` leaves out keys up to it, and the group that it names; `Page.after` is empty at the end."""
    bucket = await make_bucket(catalog, "listing-after")
    for key in ("a", "b/1", "b/2", "c"):
        await put(objects, bucket, key)
    page = await objects.list(bucket, "", "/", "b/", 10)
    assert ([info.key for info in page.objects], page.prefixes) == (["c"], ())
    page = await objects.list(bucket, "", "/", "b/1", 10)
    assert ([info.key for info in page.objects], page.prefixes) == (["c"], ("b/",))
    page = await objects.list(bucket, "", "", "a", 3)
    assert (len(page.objects), page.after) == (3, "")
    assert (await objects.list(bucket, "", "", "c", 10)).objects == ()


async def check_versions(objects: Objects, catalog: Catalog) -> None:
    """In a versioned bucket every put and every deletion adds a version; each can be read and removed."""
    bucket, key = await make_bucket(catalog, "versions", "Enabled"), "host/file"
    made = [await put(objects, bucket, key, text) for text in (b"one", b"two")]
    marker = await objects.delete(bucket, key)
    assert marker is not None
    assert marker.delete_marker
    made.append(await put(objects, bucket, key, b"three"))
    ids = [each.version_id for each in (*made, marker)]
    assert len({*ids, "null"}) == 5
    for info, text in zip(made, (b"one", b"two", b"three"), strict=True):
        found = await objects.head(bucket, key, info.version_id)
        assert await read(objects, bucket, found) == text
        assert found.latest == (text == b"three")
    assert (await objects.head(bucket, key, marker.version_id)).delete_marker
    order = [made[2].version_id, marker.version_id, made[1].version_id, made[0].version_id]
    page = await objects.list(bucket, "", "", "", 10, versions=True)
    assert [info.version_id for info in page.objects] == order
    assert [info.latest for info in page.objects] == [True, False, False, False]
    removed = await objects.delete(bucket, key, made[2].version_id)
    assert removed is not None
    assert removed.version_id == made[2].version_id
    assert (await objects.head(bucket, key)).delete_marker
    assert (await objects.list(bucket, "", "", "", 10)).objects == ()
    assert await objects.delete(bucket, key, "no-such-version") is None
    await refuses(Code.NoSuchVersion, objects.head(bucket, key, made[2].version_id))
    removed = await objects.delete(bucket, key, marker.version_id)
    assert removed is not None
    assert removed.delete_marker
    assert await read(objects, bucket, await objects.head(bucket, key)) == b"two"


async def check_version_pages(objects: Objects, catalog: Catalog) -> None:
    """A listing of versions, page by page, is the whole listing."""
    bucket = await make_bucket(catalog, "version-pages", "Enabled")
    wanted: list[str] = []
    for key in ("a", "b/1", "b/2", "c/x"):
        made = [await put(objects, bucket, key) for _ in range(3)]
        marker = await objects.delete(bucket, key)
        assert marker is not None
        wanted += [f"{key}@{each.version_id}" for each in (marker, *reversed(made))]
    for limit in (1, 2, 3, 5, 100):
        assert await _walk(objects, bucket, "", "", limit, versions=True) == wanted
        assert await _walk(objects, bucket, "", "/", limit, versions=True) == [*wanted[:4], "<b/>", "<c/>"]
    page = await objects.list(bucket, "", "", "b/1", 100, versions=True)
    assert {info.key for info in page.objects} == {"b/2", "c/x"}
    assert await _walk(objects, bucket, "", "", 2) == []


async def check_suspended(objects: Objects, catalog: Catalog) -> None:
    """Where versioning is suspended, the version "null" is replaced and all others stay."""
    bucket, key = await make_bucket(catalog, "suspended"), "host/file"
    await put(objects, bucket, key, b"before")
    await catalog.set_bucket(bucket, {"versioning": "Enabled"})
    kept = await put(objects, bucket, key, b"kept")
    assert await read(objects, bucket, await objects.head(bucket, key, "null")) == b"before"
    await catalog.set_bucket(bucket, {"versioning": "Suspended"})
    made = await put(objects, bucket, key, b"after")
    assert made.version_id == "null"
    page = await objects.list(bucket, "", "", "", 10, versions=True)
    assert [info.version_id for info in page.objects] == ["null", kept.version_id]
    marker = await objects.delete(bucket, key)
    assert marker is not None
    assert (marker.delete_marker, marker.version_id) == (True, "null")
    page = await objects.list(bucket, "", "", "", 10, versions=True)
    assert [(info.version_id, info.delete_marker) for info in page.objects] == [
        ("null", True),
        (kept.version_id, False),
    ]


async def check_lock(objects: Objects, catalog: Catalog) -> None:
    """A version that is retained or held is not removed; a delete marker may cover it."""
    bucket, key = await make_bucket(catalog, "locks", "Enabled", lock='{"mode":"","days":0,"years":0}'), "host/file"
    later = "2999-01-01T00:00:00.000Z"
    governed = await put(objects, bucket, key, options=PutOptions(size=4, lock={"mode": "GOVERNANCE", "until": later}))
    await refuses(Code.AccessDenied, objects.delete(bucket, key, governed.version_id))
    assert await objects.delete(bucket, key) is not None
    assert await objects.delete(bucket, key, governed.version_id, bypass=True) is not None
    strict = await put(objects, bucket, key, options=PutOptions(size=4, lock={"mode": "COMPLIANCE", "until": later}))
    await refuses(Code.AccessDenied, objects.delete(bucket, key, strict.version_id, bypass=True))
    held = await put(objects, bucket, key, options=PutOptions(size=4, lock={"hold": "ON"}))
    await refuses(Code.AccessDenied, objects.delete(bucket, key, held.version_id, bypass=True))
    changed = await objects.update(bucket, key, held.version_id, {"lock": {"hold": "OFF"}})
    assert changed.lock == {"hold": "OFF"}
    assert await objects.delete(bucket, key, held.version_id) is not None


async def check_update(objects: Objects, catalog: Catalog) -> None:
    """Tags and locks change without the bytes."""
    bucket = await make_bucket(catalog, "update")
    info = await put(objects, bucket, "host/file", b"bytes", PutOptions(size=5, tags={"a": "b"}, user={"k": "v"}))
    changed = await objects.update(bucket, "host/file", None, {"tags": {"c": "d"}})
    assert (changed.tags, changed.user, changed.etag) == ({"c": "d"}, {"k": "v"}, info.etag)
    found = await objects.head(bucket, "host/file")
    assert found.tags == {"c": "d"}
    assert await read(objects, bucket, found) == b"bytes"
    await objects.update(bucket, "host/file", found.version_id, {"tags": {}})
    assert (await objects.head(bucket, "host/file")).tags == {}
    await refuses(Code.NoSuchKey, objects.update(bucket, "host/none", None, {"tags": {}}))


async def check_update_race(objects: Objects, catalog: Catalog) -> None:
    """Of several that change what they read, one does; one that does not say what it read changes it always."""
    bucket = await make_bucket(catalog, "update-race")
    info = await put(objects, bucket, "host/file", b"bytes")
    results = await asyncio.gather(
        *(objects.update(bucket, "host/file", None, {"tags": {"n": f"{n}"}}, seq=info.seq) for n in range(8)),
        return_exceptions=True,
    )
    winners = [result for result in results if isinstance(result, ObjectInfo)]
    losers = [result for result in results if isinstance(result, S3Error)]
    assert (len(winners), len(losers)) == (1, 7)
    assert {error.code for error in losers} == {Code.OperationAborted}
    found = await objects.head(bucket, "host/file")
    assert (found, found.seq > info.seq) == (winners[0], True)
    assert await read(objects, bucket, found) == b"bytes"
    await refuses(Code.OperationAborted, objects.update(bucket, "host/file", None, {"tags": {}}, seq=info.seq))
    assert (await objects.update(bucket, "host/file", None, {"tags": {}}, seq=found.seq)).tags == {}


async def check_buckets(objects: Objects, catalog: Catalog) -> None:
    """Buckets are made once, listed in order, changed and removed; without one there are no objects."""
    await refuses(Code.NoSuchBucket, put(objects, "buckets-none", "host/file"))
    await make_bucket(catalog, "buckets-b")
    await make_bucket(catalog, "buckets-a", "Enabled", policy="{}")
    await refuses(Code.BucketAlreadyOwnedByYou, catalog.create_bucket("buckets-a", "owner", {}))
    await refuses(Code.BucketAlreadyExists, catalog.create_bucket("buckets-a", "another", {}))
    names = [each.name for each in await catalog.buckets() if each.name.startswith("buckets-")]
    assert names == ["buckets-a", "buckets-b"]
    await catalog.set_bucket("buckets-a", {"policy": "", "tags": "{}"})
    found = await catalog.bucket("buckets-a")
    assert found is not None
    assert (found.owner, found.settings) == ("owner", {"versioning": "Enabled", "tags": "{}"})
    await catalog.delete_bucket("buckets-a")
    assert await catalog.bucket("buckets-a") is None
    await refuses(Code.NoSuchBucket, catalog.delete_bucket("buckets-a"))
    await refuses(Code.NoSuchBucket, catalog.set_bucket("buckets-a", {}))


CONFORMANCE: tuple[Check, ...] = (
    check_round_trip,
    check_open,
    check_ranges,
    check_overwrite,
    check_refused_put,
    check_trailers,
    check_conditions,
    check_race,
    check_delete,
    check_odd_keys,
    check_listing,
    check_listing_after,
    check_versions,
    check_version_pages,
    check_suspended,
    check_lock,
    check_update,
    check_update_race,
    uploads.check_upload,
    uploads.check_upload_sums,
    uploads.check_upload_ends,
    check_buckets,
)
