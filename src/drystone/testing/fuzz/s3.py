"""What S3 clients send: heads, signatures, documents, policies and chunked bodies, changed, and what reads them."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from random import Random
from xml.parsers import expat

from drystone.base.errors import RefusedError
from drystone.fleet.documents import Key
from drystone.fleet.gateway.gateway import Gateway
from drystone.fleet.gateway.messages import Request, Response
from drystone.fleet.objects import PutOptions
from drystone.fleet.s3 import bodies, lifecycle, xml
from drystone.fleet.s3.chunked import ChunkDecoder
from drystone.fleet.s3.errors import S3Error
from drystone.fleet.s3.moments import format_stamp
from drystone.fleet.s3.policy import decide, parse_policy
from drystone.fleet.s3.presigned_v2 import check_old_claim, read_old_claim
from drystone.fleet.s3.signing import Chain, check_claim, presign, read_claim, sign_request, signing_key
from drystone.fleet.s3.target import decode_path, decode_query, query_pairs, split_target
from drystone.testing.fleet.bodies import BytesBody
from drystone.testing.fleet.memory_objects import MemoryCatalog, MemoryObjects
from drystone.testing.fuzz.mutate import mutate_file
from drystone.testing.fuzz.oracles import demand
from drystone.testing.fuzz.s3_examples import CHUNKS, DOCUMENTS, POLICIES, REQUESTS

NOW = 1_790_000_000.0
KEY = Key("ADMIN", "admins-secret", {"*": "admin"})
HOST = "s3.example"
_STAMP = format_stamp(NOW)
_SCOPE = f"{_STAMP[:8]}/us-east-1/s3/aws4_request"
_CHAIN = Chain(signing_key(KEY.secret, _STAMP[:8], "us-east-1"), _STAMP, _SCOPE, "0" * 64)
_LONG = 15_000
"""Bytes that a header may have grown to: a server in front lets no more through."""
Head = tuple[str, str, dict[str, str]]
"""Method, target and headers."""


@contextmanager
def _refusing() -> Iterator[None]:
    """An answer of S3's is a refusal, as an error of base.errors is one."""
    try:
        yield
    except S3Error as error:
        demand(error.status != 500, f"an error of our own: {error}")
        raise RefusedError(error.message) from error


def _mutate(data: bytes, random: Random) -> bytes:
    """Changed as any file; now and then one byte stands there very often, or a line's end where a value was."""
    if random.random() < 0.1:
        at = random.randrange(len(data) + 1)
        return data[:at] + random.choice((b"%0D%0A", b"%00", b"%1F", b"%FF", b"%C3%A9", b"%", b"+")) + data[at:]
    if random.random() < 0.1 and data:
        at = random.randrange(len(data))
        return data[:at] + data[at : at + 1] * random.randrange(100, _LONG) + data[at:]
    return mutate_file(data, random)


# ---------------------------------------------------------------------- whole requests


def make_request(random: Random) -> bytes:
    """A head in lines, an empty one, and the body."""
    data = random.choice(REQUESTS)
    if random.random() < 0.3:
        other = random.choice(REQUESTS).partition(b"\n\n")[0].split(b"\n")
        head, empty, body = data.partition(b"\n\n")
        data = b"\n".join([head, *random.sample(other[1:], random.randint(0, len(other) - 1))]) + empty + body
    return _mutate(data, random)


def _read_head(data: bytes) -> tuple[Head, bytes]:
    """What a server makes of it that lets through no control characters."""
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.decode("utf-8", "surrogateescape").split("\n")
    method, _, target = first.partition(" ")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name.isascii() and name.isprintable() and not any(each in value for each in "\0\r"):
            headers[name.strip().lower()] = value.strip()
    return (method, target, headers), body


def answer_request(data: bytes) -> None:
    """Sign it as its client would, and have a gateway over a small fleet in memory answer."""
    (method, target, headers), body = _read_head(data)
    payload = headers.pop("x-amz-content-sha256", "") or hashlib.sha256(body).hexdigest()
    sent = {"host": HOST, "content-length": str(len(body)), **headers}
    signed = sign_request(method, target, sent, KEY.access_key, KEY.secret, now=NOW, payload=payload)
    logging.disable(logging.CRITICAL)
    try:
        response, answer = asyncio.run(_answer(Request(method, target, tuple(signed.items()), _pieces(body), id="r")))
    finally:
        logging.disable(logging.NOTSET)
    demand(200 <= response.status < 600, f"status {response.status}")
    demand(response.status != 500, f"an error of our own: {answer.decode(errors='replace')}")
    for name, value in response.headers.items():
        control = any(ord(each) < 32 or each == "\x7f" for each in name + value)
        demand(name.startswith("x-amz-meta-") or not control, f"the header {name} has {value!r}")
    if response.headers.get("content-type") == "application/xml" and answer and b"&#x" not in answer:
        expat.ParserCreate().Parse(answer, True)
    if response.status >= 400:
        raise RefusedError(f"status {response.status}")


async def _answer(request: Request) -> tuple[Response, bytes]:
    catalog = MemoryCatalog(KEY)
    objects = MemoryObjects(catalog, lambda: NOW)
    await catalog.create_bucket("bucket", KEY.access_key, {"versioning": "Enabled", "lock": "{}"})
    for key in ("key", "a/b"):
        await objects.put("bucket", key, BytesBody(b"some data"), PutOptions(checksums={"crc32": ""}, tags={"a": "b"}))
    upload = await objects.begin_upload("bucket", "key", PutOptions())
    await objects.put_part("bucket", "key", upload.upload_id, 1, BytesBody(b"part"), PutOptions())
    response = await Gateway(objects, catalog, now=lambda: NOW).handle(request)
    if isinstance(response.body, bytes):
        return response, response.body
    return response, b"".join([bytes(piece) async for piece in response.body])


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    yield body


# ---------------------------------------------------------------------- signatures


@cache
def _signed() -> tuple[Head, ...]:
    found: list[Head] = []
    for target in ("/bucket/a%20b/%C3%BC?versionId=x&partNumber=1", "/", "/bucket?prefix=a%2Fb&delimiter=%2F"):
        headers = {"host": HOST, "x-amz-meta-a": "b  c", "x-amz-acl": "private", "content-type": "text/plain"}
        found.append(("PUT", target, sign_request("PUT", target, headers, KEY.access_key, KEY.secret, now=NOW)))
        presigned = presign("GET", target, HOST, KEY.access_key, KEY.secret, now=NOW, expires=600)
        found.append(("GET", presigned, {"host": HOST}))
    return tuple(found)


def make_signed(random: Random) -> bytes:
    """A signed head, changed; its number comes first, so that what is taken can be compared with what was signed."""
    number = random.randrange(len(_signed()))
    method, target, headers = _signed()[number]
    lines = [f"{method} {target}", *(f"{name}: {value}" for name, value in headers.items())]
    data = "\n".join(lines).encode()
    return bytes([number]) + (data if random.random() < 0.05 else _mutate(data, random))


def _meant(head: Head) -> tuple[object, ...]:
    """What a request asks for, as far as its signature covers it."""
    method, target, headers = head
    path, query = split_target(target)
    asked = {name: value for name, value in query_pairs(query) if name != b"X-Amz-Signature"}
    kept = {name: " ".join(value.split()) for name, value in headers.items() if name.startswith("x-amz-")}
    return method, decode_path(path), asked, kept, headers.get("host", "").strip()


def check_signature(data: bytes) -> None:
    """Whoever is taken asks for what was signed."""
    if not data:
        raise RefusedError("nothing")
    head, _ = _read_head(data[1:])
    method, target, headers = head
    path, query = split_target(target)
    pairs = query_pairs(query)
    with _refusing():
        old = read_old_claim(pairs, headers)
        if old is not None:
            check_old_claim(old, KEY.secret, method, path, pairs, headers, now=NOW)
        else:
            check_claim(read_claim(pairs, headers), KEY.secret, method, path, pairs, headers, now=NOW)
        decode_query(query)
        demand(_meant(head) == _meant(_signed()[data[0] % len(_signed())]), "a request that was not signed is taken")


# ---------------------------------------------------------------------- documents


def _read_rules(data: bytes) -> None:
    rules = lifecycle.read_rules(data)
    demand(lifecycle.unpack_rules(lifecycle.pack_rules(rules)) == rules, "rules are kept otherwise")
    shown = xml.render("LifecycleConfiguration", lifecycle.rule_elements(rules))
    demand(b"&#x" in shown or lifecycle.read_rules(shown) == rules, "rules are shown otherwise")


_READERS: dict[bytes, Callable[[bytes], object]] = {
    b"<Delete": bodies.read_deletion,
    b"<CompleteMultipartUpload": bodies.read_completion,
    b"<Tagging": lambda data: bodies.read_tagging(data, 10),
    b"<Retention": lambda data: bodies.read_retention(data, NOW),
    b"<LegalHold": bodies.read_legal_hold,
    b"<VersioningConfiguration": bodies.read_versioning,
    b"<ObjectLockConfiguration": bodies.read_lock_configuration,
    b"<CreateBucketConfiguration": bodies.read_location,
    b"<AccessControlPolicy": lambda data: bodies.check_acl(data, lambda each: each == "owner"),
    b"<LifecycleConfiguration": _read_rules,
}


def make_document(random: Random) -> bytes:
    """A document of any kind; with odd beginnings now and then."""
    data = random.choice(DOCUMENTS)
    if random.random() < 0.2:
        begin, end = random.choice((
            (b'<?xml version="1.0" encoding="%s"?>' % random.choice((b"UTF-8", b"UTF-16", b"latin-1", b"x")), b""),
            (b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b""),
            (b"<x>" * random.randrange(2000), b""),
            (b"", b" " * random.randrange(_LONG)),
            (b"\xef\xbb\xbf", b""),
        ))  # fmt: skip
        data = begin + data + end
    return _mutate(data, random)


def read_document(data: bytes) -> None:
    """By the reader of the root that it seems to have."""
    found = [read for name, read in _READERS.items() if name in data]
    with _refusing():
        (found[0] if found else bodies.read_deletion)(data)


# ---------------------------------------------------------------------- policies


def make_policy(random: Random) -> bytes:
    """A policy's JSON, changed."""
    return _mutate(random.choice(POLICIES), random)


def read_policy(data: bytes) -> None:
    """Its statements; none lets everybody in, and each question has an answer."""
    with _refusing():
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise RefusedError("no text") from error
        statements = parse_policy(text, "bucket")
    for each in statements:
        demand(not (each.allow and "*" in each.principals), "everybody is let in")
    for key, action, resource in itertools.product(
        ("READER", "*", ""), ("s3:GetObject", "s3:PutObject"), ("bucket", "bucket/" + "a" * 1000, "other/x")
    ):
        said = decide(statements, key, action, resource, secure=False)
        demand(said is not True or (key == "READER" and resource.startswith("bucket")), "a stranger is let in")


# ---------------------------------------------------------------------- chunked bodies


def make_chunked(random: Random) -> bytes:
    """A chunked body, changed; the first byte says how it is signed."""
    number = random.randrange(len(CHUNKS))
    kind = random.choice((0, 1, 1))
    body = encode_chunks(CHUNKS[number], signed=bool(kind))
    return bytes([kind * len(CHUNKS) + number]) + _mutate(body, random)


def encode_chunks(chunks: tuple[bytes, ...], *, signed: bool) -> bytes:
    """The body of these chunks, with a checksum as its trailer."""
    previous, pieces = _CHAIN.seed, []
    for chunk in (*chunks, b""):
        previous = _CHAIN.sign_chunk(previous, hashlib.sha256(chunk).hexdigest())
        pieces.append(b"%x%s\r\n" % (len(chunk), b";chunk-signature=" + previous.encode() if signed else b""))
        pieces.append(chunk + b"\r\n" if chunk else b"")
    value = "x-amz-checksum-crc32:AAAAAA=="
    pieces.append(value.encode() + b"\r\n")
    if signed:
        pieces.append(
            b"x-amz-trailer-signature:%s\r\n" % _CHAIN.sign_trailers(previous, f"{value}\n".encode()).encode()
        )
    return b"".join([*pieces, b"\r\n"])


def read_chunked(data: bytes) -> None:
    """Decoded in one piece, in small ones and in odd ones: to the same end. What is signed is what was signed."""
    if not data:
        raise RefusedError("nothing")
    signed, number = divmod(data[0] % (2 * len(CHUNKS)), len(CHUNKS))
    whole = b"".join(CHUNKS[number])
    found = {_decode(data[1:], len(whole), cut, signed=bool(signed)) for cut in (1 << 20, 1, 7 + zlib.crc32(data) % 90)}
    demand(len(found) == 1, f"it hangs on how the body comes: {found}")
    decoded, refusal = found.pop()
    if decoded is None:
        raise RefusedError(refusal)
    demand(decoded == whole if signed else len(decoded) == len(whole), "bytes that nobody signed are taken")


def _decode(body: bytes, size: int, cut: int, *, signed: bool) -> tuple[bytes | None, str]:
    decoder = ChunkDecoder(size, _CHAIN if signed else None, ("crc32",))
    came = bytearray()
    try:
        for at in range(0, len(body), cut):
            for piece in decoder.feed(body[at : at + cut]):
                came += piece
        decoder.finish()
    except S3Error as error:
        return None, str(error)
    return bytes(came), ""
