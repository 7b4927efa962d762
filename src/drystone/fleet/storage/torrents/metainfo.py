"""What a torrent says of one version of an object: its size and SHA-256 hashes. Values and bytes, no I/O.

Torrents here are of BitTorrent's version 2 alone (BEP 52): a tree of SHA-256 over blocks of 16 KiB for each file. A
piece is a MiB, as the pieces are that our own sums are of. One torrent has one file, and its name is always the same:
so whoever has the same bytes makes the same torrent, and several seeders of it are one swarm.
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from drystone.base.errors import MismatchError
from drystone.fleet.disk.sums import PIECE, count_pieces

_BLOCK = 16 << 10
"""Bytes under a leaf of the tree."""
_LEAVES = PIECE // _BLOCK
_HASH = 32
_NAME = b"object"
_URN = re.compile(r"urn:btmh:1220[0-9a-f]{64}")


class Metainfo(msgspec.Struct, frozen=True):
    """A torrent.

    :ivar size: bytes of the object, 1 or more. :ivar root: of the tree over all. :ivar layer: the roots over each
        piece, 32 bytes each; b"" where there is one piece only: `root` is its root.
    """

    size: int
    root: bytes
    layer: bytes

    @property
    def urn(self) -> str:
        """Its name for the outside: `urn:btmh:1220` and SHA-256 of what it says, in hex."""
        return f"urn:btmh:1220{hashlib.sha256(_encode(self._info())).hexdigest()}"

    def encode(self) -> bytes:
        """The torrent as a file: no tracker, no node, no address is in it."""
        layers = {self.root: self.layer} if self.layer else {}
        return _encode({b"info": self._info(), b"piece layers": layers})

    def check(self) -> None:
        """:raises MismatchError: the hashes of its pieces do not lead to its root, or are not as many as it has."""
        pieces = count_pieces(self.size)
        if self.size < 1 or len(self.root) != _HASH or len(self.layer) != (pieces * _HASH if pieces > 1 else 0):
            raise MismatchError("a torrent's hashes are not those of its size")
        if pieces > 1 and _join_pieces(self.layer) != self.root:
            raise MismatchError("a torrent's hashes do not agree with each other")

    def _info(self) -> dict[bytes, object]:
        file = {b"length": self.size, b"pieces root": self.root}
        return {
            b"file tree": {_NAME: {b"": file}},
            b"meta version": 2,
            b"name": _NAME,
            b"piece length": PIECE,
        }


def is_urn(text: str) -> bool:
    """Whether it is the name of a torrent of version 2."""
    return _URN.fullmatch(text) is not None


class Hashing:
    """Makes the torrent of bytes that come a piece at a time. :param size: of all together, 1 or more."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._layer = bytearray()

    def add(self, piece: bytes | memoryview) -> None:
        """The next MiB; the last piece may be shorter."""
        blocks = range(0, len(piece), _BLOCK)
        leaves = [hashlib.sha256(piece[begin : begin + _BLOCK]).digest() for begin in blocks]
        width = _LEAVES if self._size > PIECE else _round_up(len(leaves))
        self._layer += _join(leaves, width, bytes(_HASH))

    def finish(self) -> Metainfo:
        """The torrent of all that came."""
        layer = bytes(self._layer)
        if len(layer) == _HASH:
            return Metainfo(self._size, layer, b"")
        return Metainfo(self._size, _join_pieces(layer), layer)


def _join_pieces(layer: bytes) -> bytes:
    """The root over the roots of pieces. What is missing to a power of two are pieces without a block."""
    roots = [layer[begin : begin + _HASH] for begin in range(0, len(layer), _HASH)]
    empty = _join([], _LEAVES, bytes(_HASH))
    return _join(roots, _round_up(len(roots)), empty)


def _join(hashes: list[bytes], width: int, padding: bytes) -> bytes:
    """The root of a tree with `width` leaves, a power of two, of which the last are `padding`."""
    hashes = [*hashes, *[padding] * (width - len(hashes))]
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [hashlib.sha256(left + right).digest() for left, right in pairs]
    return hashes[0]


def _round_up(count: int) -> int:
    """The least power of two that is not below `count`, which is 1 or more."""
    return 1 << (count - 1).bit_length()


def _encode(value: object) -> bytes:
    """Bencoding (BEP 3) of numbers, bytes, and tables whose keys are bytes."""
    match value:
        case int():
            return b"i%de" % value
        case bytes():
            return b"%d:%s" % (len(value), value)
        case dict():
            return b"d%se" % b"".join(_encode(key) + _encode(value[key]) for key in sorted(value))
        case _:
            raise TypeError(f"a torrent holds no {type(value).__name__}")
