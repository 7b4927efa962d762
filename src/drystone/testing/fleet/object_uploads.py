"""What every implementation of `Objects` must do with uploads in parts: checks as in objects.py."""

from __future__ import annotations

from drystone.fleet.gateway.catalog import Catalog
from drystone.fleet.objects import Conditions, Objects, PartInfo, PutOptions
from drystone.fleet.s3.checksums import combine_etags
from drystone.fleet.s3.errors import Code
from drystone.testing.fleet.bodies import BytesBody, digest_of, make_bucket, make_bytes, put, read, refuses

_MIN_PART = 5 << 20


async def check_upload(objects: Objects, catalog: Catalog) -> None:
    """Parts make one object; they may come in any order and again."""
    bucket, key = await make_bucket(catalog, "uploads"), "host/file"
    options = PutOptions(headers={"content-type": "a/b"}, user={"k": "v"}, tags={"t": "u"})
    upload = await objects.begin_upload(bucket, key, options)
    assert [each.upload_id for each in await objects.list_uploads(bucket, "host/")] == [upload.upload_id]
    assert await objects.list_uploads(bucket, "other/") == ()
    data = {1: make_bytes(_MIN_PART, 1), 2: make_bytes(_MIN_PART + 7, 2), 5: make_bytes(11, 3)}
    etags = {}
    for number, content in ((5, data[5]), (1, b"earlier"), (2, data[2]), (1, data[1]), (7, b"left out")):
        part = await objects.put_part(
            bucket, key, upload.upload_id, number, BytesBody(content), PutOptions(size=len(content))
        )
        assert (part.number, part.size) == (number, len(content))
        etags[number] = part.etag
    info, parts = await objects.list_parts(bucket, key, upload.upload_id)
    assert (info.options.user, [part.number for part in parts]) == ({"k": "v"}, [1, 2, 5, 7])
    await refuses(Code.NoSuchKey, objects.head(bucket, key))
    chosen = tuple((number, etags[number]) for number in (1, 2, 5))
    wrong = (chosen[0], (2, etags[5]))
    completion = PutOptions(checksums={"crc32": "AAAAAA==-3"}, checksum_type="COMPOSITE")
    await refuses(Code.InvalidPart, objects.complete_upload(bucket, key, upload.upload_id, wrong, completion))
    made = await objects.complete_upload(bucket, key, upload.upload_id, chosen, completion)
    whole = b"".join(data.values())
    assert made == await objects.head(bucket, key)
    assert (made.size, made.digest) == (len(whole), digest_of(whole))
    assert made.parts == tuple(len(each) for each in data.values())
    assert made.etag == combine_etags([etags[number] for number in (1, 2, 5)])
    assert (made.headers, made.user, made.tags) == ({"content-type": "a/b"}, {"k": "v"}, {"t": "u"})
    assert (made.checksums, made.checksum_type) == (completion.checksums, "COMPOSITE")
    assert await read(objects, bucket, made) == whole
    assert await objects.list_uploads(bucket, "") == ()
    await refuses(Code.NoSuchUpload, objects.complete_upload(bucket, key, upload.upload_id, chosen, completion))


async def check_upload_sums(objects: Objects, catalog: Catalog) -> None:
    """A part that states no checksum of the upload's algorithm has one all the same; one that states it is checked."""
    bucket, key = await make_bucket(catalog, "upload-sums"), "host/file"
    upload = await objects.begin_upload(bucket, key, PutOptions(checksums={"crc32c": ""}))
    data, right, wrong = b"123456789", {"crc32c": "4waSgw=="}, {"crc32c": "AAAAAA=="}

    async def put_part(number: int, options: PutOptions) -> PartInfo:
        return await objects.put_part(bucket, key, upload.upload_id, number, BytesBody(data), options)

    assert (await put_part(1, PutOptions(size=9))).checksums == right
    assert (await put_part(2, PutOptions(size=9, checksums=right))).checksums == right
    await refuses(Code.BadDigest, put_part(3, PutOptions(size=9, checksums=wrong)))
    _, parts = await objects.list_parts(bucket, key, upload.upload_id)
    assert [(each.number, each.checksums) for each in parts] == [(1, right), (2, right)]


async def check_upload_ends(objects: Objects, catalog: Catalog) -> None:
    """An upload that is aborted is gone; conditions count when it is completed; a wrong part is not kept."""
    bucket, key = await make_bucket(catalog, "upload-ends"), "host/file"
    upload = await objects.begin_upload(bucket, key, PutOptions())
    wrong = PutOptions(size=4, md5="0" * 32)
    await refuses(Code.BadDigest, objects.put_part(bucket, key, upload.upload_id, 1, BytesBody(b"data"), wrong))
    assert (await objects.list_parts(bucket, key, upload.upload_id))[1] == ()
    part = await objects.put_part(bucket, key, upload.upload_id, 1, BytesBody(b"data"), PutOptions(size=4))
    await put(objects, bucket, key, b"there")
    absent = PutOptions(conditions=Conditions(if_none_match=("*",)))
    chosen = ((1, part.etag),)
    await refuses(Code.PreconditionFailed, objects.complete_upload(bucket, key, upload.upload_id, chosen, absent))
    await objects.abort_upload(bucket, key, upload.upload_id)
    await refuses(Code.NoSuchUpload, objects.abort_upload(bucket, key, upload.upload_id))
    await refuses(Code.NoSuchUpload, objects.list_parts(bucket, key, upload.upload_id))
    again = objects.put_part(bucket, key, upload.upload_id, 1, BytesBody(b"data"), PutOptions(size=4))
    await refuses(Code.NoSuchUpload, again)
    assert await read(objects, bucket, await objects.head(bucket, key)) == b"there"
