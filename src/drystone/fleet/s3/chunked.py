"""The body coding `aws-chunked`: chunks with or without signatures, trailers with or without one. Decoded as it comes.

    size in hex [;chunk-signature=SIGNATURE] CRLF bytes CRLF ... 0[;chunk-signature=SIGNATURE] CRLF
    [name:value CRLF ... [x-amz-trailer-signature:SIGNATURE CRLF]] CRLF

From the S3 API reference, "Signature calculations for the Authorization header: transferring payload in multiple
chunks".
What was decoded is handed out before its chunk's signature is known to be right, so that memory stays flat: the error
comes before the end, and whoever stores the bytes commits them after the end only.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator

from drystone.fleet.s3.checksums import SIZES, parse_checksum
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.signing import Chain

MAX_LINE = 1024
"""Bytes of a chunk's or a trailer's line."""
MAX_TRAILERS = 16
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?\s*", re.ASCII)
_PREFIX = "x-amz-checksum-"
_SIGNATURE = "x-amz-trailer-signature"


class ChunkDecoder:
    """Decodes one body.

    :param size: bytes that must come out: x-amz-decoded-content-length. :param chain: what chunks are signed with;
        None when they are not. :param announced: names of checksums that x-amz-trailer announced; all must come.
    :ivar trailers: checksums that came, by algorithm, once `finish` returned.
    """

    def __init__(self, size: int, chain: Chain | None, announced: tuple[str, ...] = ()) -> None:
        self.trailers: dict[str, str] = {}
        self._left = size
        self._chain = chain
        self._announced = announced
        self._previous = chain.seed if chain else ""
        self._line = bytearray()
        self._chunk_left = 0
        self._state = self._take_header
        self._signature = ""
        self._sum = hashlib.sha256()
        self._trailer_lines: dict[str, str] = {}

    def feed(self, data: bytes) -> Iterator[memoryview]:
        """What `data` adds to the body, in pieces that are views of it.

        :raises S3Error: SignatureDoesNotMatch, IncompleteBody, InvalidRequest (the coding is wrong).
        """
        view, at = memoryview(data), 0
        while at < len(view):
            if self._chunk_left:
                piece = view[at : at + self._chunk_left]
                self._chunk_left -= len(piece)
                at += len(piece)
                if self._chain is not None:
                    self._sum.update(piece)
                yield piece
                continue
            end = data.find(b"\n", at)
            stop = len(view) if end < 0 else end + 1
            self._line += view[at:stop]
            at = stop
            if len(self._line) > MAX_LINE:
                raise S3Error(Code.InvalidRequest, "A line of the chunked body is too long.")
            if end >= 0:
                line, self._line = bytes(self._line).strip(b"\r\n"), bytearray()
                self._state(line)

    def finish(self) -> None:
        """The body has ended.

        :raises S3Error: IncompleteBody, or SignatureDoesNotMatch when the trailers are not signed right.
        """
        if self._line.strip():
            self._state(bytes(self._line).strip(b"\r\n"))
            self._line = bytearray()
        if self._left or self._chunk_left or self._state != self._take_trailer:
            raise S3Error(Code.IncompleteBody)
        self._check_trailers()

    def _take_header(self, line: bytes) -> None:
        found = _CHUNK.fullmatch(line)
        if found is None:
            raise S3Error(Code.InvalidRequest, "A chunk's header cannot be read.")
        size = int(found[1], 16)
        self._signature = (found[2] or b"").decode()
        if size > self._left:
            raise S3Error(Code.IncompleteBody, "The chunks hold more than x-amz-decoded-content-length says.")
        self._left -= size
        self._chunk_left = size
        if size:
            self._state = self._take_end
        else:
            self._check_chunk()
            self._state = self._take_trailer

    def _take_end(self, line: bytes) -> None:
        if line:
            raise S3Error(Code.InvalidRequest, "A chunk is longer than its header says.")
        self._check_chunk()
        self._state = self._take_header

    def _check_chunk(self) -> None:
        if self._chain is None:
            return
        expected = self._chain.sign_chunk(self._previous, self._sum.hexdigest())
        if not hmac.compare_digest(expected, self._signature):
            raise S3Error(Code.SignatureDoesNotMatch, "A chunk's signature is wrong.")
        self._previous, self._sum = expected, hashlib.sha256()

    def _take_trailer(self, line: bytes) -> None:
        if not line:
            return
        name, colon, value = line.decode("ascii", "replace").partition(":")
        name = name.strip().lower()
        if not colon or name in self._trailer_lines or len(self._trailer_lines) >= MAX_TRAILERS:
            raise S3Error(Code.InvalidRequest, "A trailer cannot be read.")
        self._trailer_lines[name] = value.strip()

    def _check_trailers(self) -> None:
        signature = self._trailer_lines.pop(_SIGNATURE, "")
        if self._chain is not None and (self._trailer_lines or self._announced):
            text = "".join(f"{name}:{value}\n" for name, value in sorted(self._trailer_lines.items()))
            expected = self._chain.sign_trailers(self._previous, text.encode())
            if not hmac.compare_digest(expected.encode(), signature.encode()):
                raise S3Error(Code.SignatureDoesNotMatch, "The trailers' signature is wrong.")
        for name, value in self._trailer_lines.items():
            algorithm = name.removeprefix(_PREFIX)
            if algorithm == name or algorithm not in SIZES or algorithm not in self._announced:
                raise S3Error(Code.InvalidRequest, "A trailer came that x-amz-trailer does not name.")
            parse_checksum(algorithm, value)
            self.trailers[algorithm] = value
        if set(self._announced) != set(self.trailers):
            raise S3Error(Code.InvalidRequest, "A trailer that x-amz-trailer names did not come.")
