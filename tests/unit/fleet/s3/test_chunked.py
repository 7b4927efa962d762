"""Chunked bodies: the reference's example, cut anywhere; forged, truncated and oversized ones."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.fleet.s3.checksums import format_checksum, make_sum
from drystone.fleet.s3.chunked import MAX_LINE, ChunkDecoder
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.signing import Chain, sign_request, signing_key

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
STAMP = "20130524T000000Z"
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CHAIN = Chain(signing_key(SECRET, "20130524", "us-east-1"), STAMP, "20130524/us-east-1/s3/aws4_request", SEED)
SIGNATURES = (
    "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
    "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
    "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
)


def example() -> bytes:
    """The body of the reference's example: 65,536 bytes, 1,024 bytes, none; all are the letter a."""
    chunks = zip((65536, 1024, 0), SIGNATURES, strict=True)
    return b"".join(b"%x;chunk-signature=%s\r\n%s\r\n" % (size, sig.encode(), b"a" * size) for size, sig in chunks)


def decode(decoder: ChunkDecoder, body: bytes, cut: int = 1 << 30) -> bytes:
    found = b"".join(bytes(piece) for at in range(0, len(body), cut) for piece in decoder.feed(body[at : at + cut]))
    decoder.finish()
    return found


def sign(chunks: list[bytes], trailers: dict[str, str] | None = None, chain: Chain = CHAIN) -> bytes:
    """A signed body of these chunks; with trailers, if any."""
    previous, pieces = chain.seed, []
    for chunk in [*chunks, b""]:
        previous = chain.sign_chunk(previous, hashlib.sha256(chunk).hexdigest())
        pieces.append(b"%x;chunk-signature=%s\r\n" % (len(chunk), previous.encode()))
        pieces.append(chunk + b"\r\n" if chunk else b"")
    if trailers is None:
        return b"".join(pieces) + b"\r\n"
    text = "".join(f"{name}:{value}\n" for name, value in sorted(trailers.items()))
    signature = chain.sign_trailers(previous, text.encode())
    lines = text.replace("\n", "\r\n") + f"x-amz-trailer-signature:{signature}\r\n\r\n"
    return b"".join(pieces) + lines.encode()


def crc(data: bytes) -> str:
    found = make_sum("crc32c")
    found.update(data)
    return format_checksum(found.digest())


def test_the_seed_of_the_reference_is_the_requests_signature() -> None:
    headers = {
        "host": "s3.amazonaws.com",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
        "content-length": "66824",
    }
    signed = sign_request(
        "PUT",
        "/examplebucket/chunkObject.txt",
        headers,
        "AKIAIOSFODNN7EXAMPLE",
        SECRET,
        now=1369353600.0,
        payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    )
    assert signed["authorization"].endswith(SEED)


@pytest.mark.parametrize("cut", [1, 2, 7, 85, 86, 4096, 65536, 1 << 20])
def test_the_example_of_the_reference(cut: int) -> None:
    body = example()
    assert len(body) == 66824
    assert decode(ChunkDecoder(66560, CHAIN), body, cut) == b"a" * 66560


def test_a_wrong_chunk_signature_is_refused_at_its_chunk() -> None:
    body = example().replace(b"0055627c", b"1055627c")
    decoder = ChunkDecoder(66560, CHAIN)
    with pytest.raises(S3Error) as caught:
        decode(decoder, body)
    assert caught.value.code is Code.SignatureDoesNotMatch


def test_changed_bytes_are_refused() -> None:
    body = bytearray(example())
    body[1000] ^= 1
    with pytest.raises(S3Error) as caught:
        decode(ChunkDecoder(66560, CHAIN), bytes(body))
    assert caught.value.code is Code.SignatureDoesNotMatch


def test_chunks_in_another_order_are_refused() -> None:
    body = sign([b"one", b"two"])
    half = body.index(b"one\r\n") + 5
    first, second, rest = body[:half], body[half : 2 * half], body[2 * half :]
    with pytest.raises(S3Error) as caught:
        decode(ChunkDecoder(6, CHAIN), second + first + rest)
    assert caught.value.code is Code.SignatureDoesNotMatch


def test_unsigned_chunks_are_refused_where_signatures_are_promised() -> None:
    with pytest.raises(S3Error) as caught:
        decode(ChunkDecoder(3, CHAIN), b"3\r\nabc\r\n0\r\n\r\n")
    assert caught.value.code is Code.SignatureDoesNotMatch


@pytest.mark.parametrize("length", [0, 10, 66, 87, 1000, 65700, 66700])
def test_a_truncated_body_is_refused(length: int) -> None:
    with pytest.raises(S3Error) as caught:
        decode(ChunkDecoder(66560, CHAIN), example()[:length])
    assert caught.value.code in (Code.IncompleteBody, Code.InvalidRequest)


@pytest.mark.parametrize("size", [0, 66559, 66561])
def test_the_stated_length_must_be_that_of_the_chunks(size: int) -> None:
    with pytest.raises(S3Error) as caught:
        decode(ChunkDecoder(size, CHAIN), example())
    assert caught.value.code is Code.IncompleteBody


def test_unsigned_with_trailer() -> None:
    data = b"hello"
    body = f"5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:{crc(data)}\r\n\r\n".encode()
    for cut in (1, 3, 1000):
        decoder = ChunkDecoder(5, None, ("crc32c",))
        assert decode(decoder, body, cut) == data
        assert decoder.trailers == {"crc32c": crc(data)}


def test_signed_trailers() -> None:
    chunks = [b"a" * 10000, b"b" * 100]
    trailers = {"x-amz-checksum-crc32c": crc(b"".join(chunks))}
    decoder = ChunkDecoder(10100, CHAIN, ("crc32c",))
    assert decode(decoder, sign(chunks, trailers), 999) == b"".join(chunks)
    assert decoder.trailers == {"crc32c": trailers["x-amz-checksum-crc32c"]}
    forged = sign(chunks, trailers).replace(trailers["x-amz-checksum-crc32c"].encode(), b"AAAAAA==")
    with pytest.raises(S3Error) as caught:
        decode(ChunkDecoder(10100, CHAIN, ("crc32c",)), forged)
    assert caught.value.code is Code.SignatureDoesNotMatch
    with pytest.raises(S3Error) as caught:
        decode(ChunkDecoder(10100, CHAIN, ("crc32c",)), sign(chunks))
    assert caught.value.code is Code.SignatureDoesNotMatch
    odd = sign(chunks, trailers).replace(b"trailer-signature:", b"trailer-signature:\xff")
    with pytest.raises(S3Error) as caught:
        decode(ChunkDecoder(10100, CHAIN, ("crc32c",)), odd)
    assert caught.value.code is Code.SignatureDoesNotMatch


@pytest.mark.parametrize(
    "body",
    [
        b"0\r\n\r\n",
        b"0\r\nx-amz-checksum-crc32c:AAAA\r\n\r\n",
        b"0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n",
        b"0\r\nx-amz-meta-a:b\r\n\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nx-amz-checksum-crc32c:AAAAAA==\r\nx-amz-checksum-crc32c:AAAAAA==\r\n\r\n",
        b"0\r\n" + b"".join(b"x%d:y\r\n" % number for number in range(100)),
        b"-1\r\n\r\n",
        b"zz\r\n\r\n",
        b"1 1\r\n\r\n",
        b"f" * 17 + b"\r\n",
        b"1" * (MAX_LINE + 1),
        b"0;" + b"x" * (2 * MAX_LINE),
        b"0\r\nx:" + b"x" * (2 * MAX_LINE),
    ],
)
def test_a_malformed_body_is_refused(body: bytes) -> None:
    with pytest.raises(S3Error) as caught:
        decode(ChunkDecoder(0, None, ("crc32c",)), body)
    assert caught.value.status == 400


@pytest.mark.parametrize("begin", [b"", b"0\r\nx:"])
def test_a_line_is_not_gathered_without_end(begin: bytes) -> None:
    decoder = ChunkDecoder(0, None, ("crc32c",))
    with pytest.raises(S3Error) as caught:
        list(decoder.feed(begin + b"1" * 2 * MAX_LINE))
    assert caught.value.code is Code.InvalidRequest


def test_a_chunk_longer_than_its_header_says_is_refused() -> None:
    with pytest.raises(S3Error) as caught:
        decode(ChunkDecoder(4, None), b"2\r\nabXX\r\n0\r\n\r\n")
    assert caught.value.code is Code.InvalidRequest


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.integers(1, 400), st.booleans())
def test_whatever_is_coded_is_decoded(chunks: list[bytes], cut: int, signed: bool) -> None:
    data = b"".join(chunks)
    if signed:
        body = sign(chunks)
    else:
        body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    assert decode(ChunkDecoder(len(data), CHAIN if signed else None), body, cut) == data


@given(st.binary(max_size=300), st.integers(1, 50), st.booleans())
def test_bytes_of_any_kind_are_decoded_or_refused(body: bytes, cut: int, signed: bool) -> None:
    try:
        decoded = decode(ChunkDecoder(3, CHAIN if signed else None), body, cut)
    except S3Error:
        return
    assert len(decoded) == 3
    assert not signed
