"""What the gateway does when things go wrong or take long; and bodies of all codings."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Callable

import pytest

from drystone.base.errors import BusyError, DamagedError
from drystone.fleet.documents import Key
from drystone.fleet.gateway.messages import GatewaySettings, Request, Response
from drystone.fleet.objects import ByteSource, ObjectInfo, PutOptions
from drystone.fleet.s3 import xml
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.moments import format_stamp
from drystone.fleet.s3.signing import Chain, sign_request, signing_key
from drystone.testing.fleet.gateway_client import HOST, GatewayClient
from drystone.testing.fleet.memory_objects import MemoryCatalog, MemoryObjects

ADMIN = Key("ADMIN", "admins-secret", {"*": "admin"})


class FailingObjects(MemoryObjects):
    """Objects in memory whose calls fail, are overtaken or wait, as the test says."""

    def __init__(self, catalog: MemoryCatalog) -> None:
        super().__init__(catalog, time.time)
        self.on_put: list[Exception] = []
        self.on_read: list[Exception] = []
        self.within_read: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def put(self, bucket: str, key: str, body: ByteSource, options: PutOptions) -> ObjectInfo:
        if self.gate is not None:
            await self.gate.wait()
        if self.on_put:
            raise self.on_put.pop()
        return await super().put(bucket, key, body, options)

    async def read(
        self, bucket: str, key: str, info: ObjectInfo, begin: int, end: int
    ) -> AsyncIterator[bytes | memoryview]:
        if self.on_read:
            raise self.on_read.pop()
        return self._break_off(await super().read(bucket, key, info, begin, end))

    async def _break_off(self, pieces: AsyncIterator[bytes | memoryview]) -> AsyncIterator[bytes | memoryview]:
        async for piece in pieces:
            yield piece
            if self.within_read:
                raise self.within_read


class World:
    """A gateway over objects that fail."""

    def __init__(self, settings: GatewaySettings | None = None) -> None:
        self.objects: FailingObjects | None = None
        self.client = GatewayClient(ADMIN, settings=settings, make_objects=self._make)
        assert self.client.call("PUT", "/bucket", key=ADMIN).status == 200
        assert self.client.call("PUT", "/bucket/key", b"data", key=ADMIN).status == 200

    def _make(self, catalog: MemoryCatalog) -> FailingObjects:
        self.objects = FailingObjects(catalog)
        return self.objects

    @property
    def failing(self) -> FailingObjects:
        assert self.objects is not None
        return self.objects

    def request(self, method: str, target: str, headers: dict[str, str]) -> Request:
        signed = sign_request(
            method, target, {"host": HOST, **headers}, ADMIN.access_key, ADMIN.secret, now=self.client.time
        )

        async def nothing() -> AsyncIterator[bytes]:
            empty: tuple[bytes, ...] = ()
            for each in empty:
                yield each

        return Request(method, target, tuple(signed.items()), nothing(), id="r")


@pytest.fixture
def world() -> World:
    return World()


def test_a_defect_costs_one_request_and_tells_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.failing.on_put.append(RuntimeError("/secret/path"))
    answer = world.client.call("PUT", "/bucket/key", b"x", key=ADMIN)
    assert (answer.status, answer.code) == (500, "InternalError")
    assert b"secret" not in answer.body
    assert "/secret/path" in caplog.text
    assert world.client.call("PUT", "/bucket/key", b"x", key=ADMIN).status == 200


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (BusyError("x"), 503),
        (S3Error(Code.SlowDown), 503),
        (DamagedError("no copy is whole"), 500),
        (ExceptionGroup("g", [ExceptionGroup("h", [S3Error(Code.SlowDown)])]), 503),
    ],
)
def test_what_objects_raise_is_answered(world: World, error: Exception, status: int) -> None:
    world.failing.on_put.append(error)
    answer = world.client.call("PUT", "/bucket/key", b"x", key=ADMIN)
    assert answer.status == status
    assert answer.headers.get("retry-after") == ("1" if status == 503 else None)


@pytest.mark.parametrize("headers", [{"content-length": "0"}, {"x-amz-copy-source": "bucket/key"}])
def test_a_cancelled_request_is_cancelled(world: World, headers: dict[str, str]) -> None:
    async def run() -> None:
        world.failing.gate = asyncio.Event()
        task = asyncio.create_task(world.client.gateway.handle(world.request("PUT", "/bucket/new", headers)))
        for _ in range(10):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(run())


def test_an_object_that_is_overwritten_before_it_is_read_is_looked_up_again(world: World) -> None:
    gone = S3Error(Code.NoSuchKey)
    world.failing.on_read += [gone, gone]
    assert world.client.call("GET", "/bucket/key", key=ADMIN).body == b"data"
    world.failing.on_read += [gone, gone, gone]
    assert world.client.call("GET", "/bucket/key", key=ADMIN).code == "SlowDown"


def test_damage_that_nobody_can_mend_is_an_error_and_no_body(world: World) -> None:
    world.failing.on_read.append(DamagedError("no copy is whole"))
    answer = world.client.call("GET", "/bucket/key", key=ADMIN)
    assert (answer.status, answer.code) == (500, "InternalError")


def test_a_failure_within_a_body_is_raised_so_that_the_connection_is_cut(world: World) -> None:
    world.failing.within_read = DamagedError("in the middle")
    with pytest.raises(DamagedError):
        world.client.call("GET", "/bucket/key", key=ADMIN)


def wait_for_copy(world: World, finish: Callable[[FailingObjects], None]) -> bytes:
    """The body of a copy that goes on when its answer has begun."""

    async def run() -> bytes:
        world.failing.gate = asyncio.Event()
        request = world.request("PUT", "/bucket/copy", {"x-amz-copy-source": "bucket/key"})
        response = await world.client.gateway.handle(request)
        assert response.status == 200
        assert not isinstance(response.body, bytes)
        pieces = [bytes(await anext(response.body)), bytes(await anext(response.body))]
        assert pieces[1] == b" "
        finish(world.failing)
        world.failing.gate.set()
        return b"".join([*pieces, *[bytes(piece) async for piece in response.body]])

    return asyncio.run(run())


def test_a_long_copy_is_waited_for_with_spaces() -> None:
    world = World(GatewaySettings(patience=0.0))
    body = wait_for_copy(world, lambda _: None)
    etag = hashlib.md5(b"data").hexdigest()
    assert xml.parse(body, "CopyObjectResult").find_text("ETag") == f'"{etag}"'
    world.failing.gate = None
    assert world.client.call("GET", "/bucket/copy", key=ADMIN).body == b"data"


def test_a_long_copy_may_fail_after_its_status_was_sent() -> None:
    world = World(GatewaySettings(patience=0.0))
    body = wait_for_copy(world, lambda objects: objects.on_put.append(BusyError("x")))
    assert xml.parse(body, "Error").find_text("Code") == "SlowDown"


def test_what_is_wrong_with_a_copy_is_said_by_its_status() -> None:
    world = World(GatewaySettings(patience=0.0))
    for source, code in (("bucket/none", "NoSuchKey"), ("none/key", "NoSuchBucket"), ("bucket/copy", "NoSuchKey")):
        answer = world.client.call("PUT", "/bucket/copy", headers={"x-amz-copy-source": source}, key=ADMIN)
        assert (answer.status, answer.code) == (404, code)
    body = b"<CompleteMultipartUpload/>"
    assert world.client.call("POST", "/bucket/key?uploadId=u", body, key=ADMIN).code == "MalformedXML"


def test_a_checksum_that_cannot_be_compared_is_refused(world: World) -> None:
    begun = world.client.call("POST", "/bucket/big?uploads", key=ADMIN).document("InitiateMultipartUploadResult")
    target = f"/bucket/big?uploadId={begun.find_text('UploadId')}"
    etag = world.client.call("PUT", f"{target}&partNumber=1", b"x", key=ADMIN).headers["etag"]
    crc = "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>"
    for inner, headers, code in (
        (crc, {}, "InvalidPart"),
        ("", {"x-amz-checksum-crc32": "AAAAAA=="}, "InvalidRequest"),
    ):
        part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag>{inner}</Part>"
        body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
        assert world.client.call("POST", target, body, headers, key=ADMIN).code == code


def test_a_client_that_leaves_a_long_copy_ends_it() -> None:
    world = World(GatewaySettings(patience=0.0))

    async def run() -> Response:
        world.failing.gate = asyncio.Event()
        request = world.request("PUT", "/bucket/copy", {"x-amz-copy-source": "bucket/key"})
        response = await world.client.gateway.handle(request)
        assert not isinstance(response.body, bytes)
        await anext(response.body)
        await response.body.aclose()  # type: ignore[attr-defined]
        assert len(asyncio.all_tasks()) == 1
        return response

    asyncio.run(run())
    world.failing.gate = None
    assert world.client.call("GET", "/bucket/copy", key=ADMIN).status == 404


def chunked(world: World, chunks: list[bytes], *, forge: bool = False) -> tuple[dict[str, str], bytes]:
    """Headers and body of a put of signed chunks."""
    size = sum(map(len, chunks))
    mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    headers = {"host": HOST, "x-amz-decoded-content-length": str(size), "content-encoding": "aws-chunked"}
    signed = sign_request(
        "PUT", "/bucket/key", headers, ADMIN.access_key, ADMIN.secret, now=world.client.time, payload=mode
    )
    stamp = format_stamp(world.client.time)
    scope = f"{stamp[:8]}/us-east-1/s3/aws4_request"
    chain = Chain(
        signing_key(ADMIN.secret, stamp[:8], "us-east-1"), stamp, scope, signed["authorization"].rpartition("=")[2]
    )
    previous, pieces = chain.seed, []
    for chunk in [*chunks, b""]:
        previous = chain.sign_chunk(previous, hashlib.sha256(chunk).hexdigest())
        pieces.append(b"%x;chunk-signature=%s\r\n%s\r\n" % (len(chunk), previous.encode(), chunk))
    body = b"".join(pieces)
    return signed, body.replace(chunks[0][:4], b"evil", 1) if forge else body


def test_signed_chunks(world: World) -> None:
    data = [b"abcd" * 20_000, b"efgh" * 30_000, b"end"]
    headers, body = chunked(world, data)
    assert world.client.send("PUT", "/bucket/key", headers, body).status == 200
    got = world.client.call("GET", "/bucket/key", key=ADMIN)
    assert got.body == b"".join(data)
    assert "content-encoding" not in got.headers


def test_forged_and_truncated_chunks_change_nothing(world: World) -> None:
    headers, body = chunked(world, [b"abcd" * 20_000, b"end"], forge=True)
    answer = world.client.send("PUT", "/bucket/key", headers, body)
    assert (answer.status, answer.code) == (403, "SignatureDoesNotMatch")
    headers, body = chunked(world, [b"abcd" * 20_000, b"end"])
    for cut in (0, 1000, len(body) - 100):
        assert world.client.send("PUT", "/bucket/key", headers, body[:cut]).status == 400
    assert world.client.call("GET", "/bucket/key", key=ADMIN).body == b"data"


@pytest.mark.parametrize("length", [3, 5])
def test_a_body_of_another_length_changes_nothing(world: World, length: int) -> None:
    headers = {"content-length": str(length)}
    answer = world.client.call("PUT", "/bucket/key", b"1234", headers, key=ADMIN, payload="UNSIGNED-PAYLOAD")
    assert (answer.status, answer.code) == (400, "IncompleteBody")
    assert world.client.call("GET", "/bucket/key", key=ADMIN).body == b"data"


def test_a_body_without_end_is_read_no_further_than_its_length(world: World) -> None:
    headers = {"content-length": "100"}
    answer = world.client.call("PUT", "/bucket/key", bytes(1 << 20), headers, key=ADMIN, payload="UNSIGNED-PAYLOAD")
    assert (answer.code, world.client.read) == ("IncompleteBody", 50_000)


def test_a_part_in_the_middle_has_five_mebibytes(world: World) -> None:
    begun = world.client.call("POST", "/bucket/big?uploads", key=ADMIN).document("InitiateMultipartUploadResult")
    upload = begun.find_text("UploadId")
    parts = ""
    for number, size in ((1, 5 << 20), (2, (5 << 20) - 1), (3, 1)):
        target = f"/bucket/big?partNumber={number}&uploadId={upload}"
        etag = world.client.call("PUT", target, bytes(size), key=ADMIN).headers["etag"]
        parts += f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
    for wanted, code in ((parts, "EntityTooSmall"), (parts[: parts.index("<Part><PartNumber>3")], "")):
        body = f"<CompleteMultipartUpload>{wanted}</CompleteMultipartUpload>".encode()
        answer = world.client.call("POST", f"/bucket/big?uploadId={upload}", body, key=ADMIN)
        assert (answer.document("Error").find_text("Code") if answer.status != 200 else "") == code


def test_a_document_is_bounded_and_checked(world: World) -> None:
    huge = b" " * (5 << 20)
    answer = world.client.call("POST", "/bucket?delete", huge, key=ADMIN)
    assert answer.code == "MaxMessageLengthExceeded"
    assert world.client.read == 0
    document = b"<Delete><Object><Key>key</Key></Object></Delete>"
    headers = {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert world.client.call("POST", "/bucket?delete", document, headers, key=ADMIN).code == "BadDigest"
    assert world.client.call("GET", "/bucket/key", key=ADMIN).status == 200


def test_a_header_bomb_is_refused(world: World) -> None:
    for headers in ({f"x-{n}": "y" for n in range(200)}, {"x": "y" * 40_000}):
        assert world.client.call("GET", "/bucket/key", headers=headers, key=ADMIN).status == 403


def test_headers_that_are_not_utf_8_are_refused(world: World) -> None:
    answer = world.client.call("PUT", "/bucket/key", b"", {"x-amz-meta-a": "\udcff"}, key=ADMIN)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_virtual_host_style() -> None:
    world = World(GatewaySettings(domain="s3.example"))
    headers = {"host": "bucket.s3.example:8000"}
    assert world.client.call("GET", "/key", headers=headers, key=ADMIN).body == b"data"
    assert world.client.call("GET", "/bucket/key", key=ADMIN).body == b"data"


def test_every_answer_has_the_requests_id(world: World) -> None:
    for method, target in (
        ("GET", "/bucket/key"),
        ("GET", "/none"),
        ("HEAD", "/bucket/none"),
        ("DELETE", "/bucket/key"),
    ):
        assert world.client.call(method, target, key=ADMIN).headers["x-amz-request-id"] == "request-1"
    answer = world.client.call("GET", "/none", key=ADMIN)
    assert answer.document("Error").find_text("RequestId") == "request-1"
    assert answer.headers["content-length"] == str(len(answer.body))


def test_an_answer_to_head_has_no_body(world: World) -> None:
    for target, status in (("/bucket/key", 200), ("/bucket/none", 404), ("/none", 404)):
        answer = world.client.call("HEAD", target, key=ADMIN)
        assert (answer.status, answer.body) == (status, b"")
    etag = f'"{hashlib.md5(b"data").hexdigest()}"'
    answer = world.client.call("GET", "/bucket/key", headers={"if-none-match": etag}, key=ADMIN)
    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)


def test_if_range(world: World) -> None:
    etag = f'"{hashlib.md5(b"data").hexdigest()}"'
    modified = world.client.call("HEAD", "/bucket/key", key=ADMIN).headers["last-modified"]
    for validator, status in (
        (etag, 206),
        (modified, 206),
        ('"x"', 200),
        ("Fri, 02 Jan 1970 00:00:00 GMT", 200),
        ("x", 200),
    ):
        headers = {"range": "bytes=0-1", "if-range": validator}
        assert world.client.call("GET", "/bucket/key", headers=headers, key=ADMIN).status == status
