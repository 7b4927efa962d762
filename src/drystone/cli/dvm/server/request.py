"""What a client asks for, as bytes: one packet. Pure; the handles that come with it are the caller's.

    magic "dvm1" · umask u32 · blocked signals u64, bit n - 1 for signal n · count of words u32 · of variables u32 ·
    of handles u32 · 4 bytes of nothing · each handle's number i32 · strings, each ended by a zero byte: the path by
    which the program was called, its words, its variables as NAME=VALUE

Numbers are in the machine's own order: both sides are on one machine. The handle of the current folder comes first and
has no number.
"""

from __future__ import annotations

import os
import struct

import msgspec

from drystone.base.errors import UsageError

MAGIC = struct.unpack("=I", b"dvm1")[0]
MOST_BYTES = 1 << 17
"""Of a packet."""
MOST_HANDLES = 200
"""Without the current folder's."""
_HEAD = struct.Struct("=IIQIII4x")
_UMASK_BITS = 0o777
_MOST_HANDLE = 1 << 20


class Request(msgspec.Struct, frozen=True):
    """A command line and what surrounds it.

    :ivar program: the path by which it was called. :ivar words: behind the program's name.
    :ivar blocked: signals, bit n - 1 for signal n. :ivar handles: numbers of the files that are open, in the order in
        which they come, behind the current folder.
    """

    program: str
    words: tuple[str, ...]
    variables: dict[str, str]
    handles: tuple[int, ...]
    umask: int
    blocked: int


def parse_request(data: bytes) -> Request:
    """The request in a packet.

    :raises UsageError: it is none, or one of another version.
    """
    if len(data) < _HEAD.size:
        raise UsageError("a request that is too short")
    magic, umask, blocked, words, variables, handles = _HEAD.unpack_from(data)
    if magic != MAGIC:
        raise UsageError("a request of another version")
    if handles > MOST_HANDLES or umask > _UMASK_BITS:
        raise UsageError("a request that cannot be")
    begin = _HEAD.size + 4 * handles
    if len(data) < begin:
        raise UsageError("a request that is too short")
    numbers = struct.unpack_from(f"={handles}i", data, _HEAD.size)
    if len(set(numbers)) != handles or any(not 0 <= number < _MOST_HANDLE for number in numbers):
        raise UsageError("handles that cannot be")
    strings = data[begin:].split(b"\0")
    if strings.pop() or len(strings) != 1 + words + variables:
        raise UsageError("a request whose strings are not what it says")
    texts = [os.fsdecode(each) for each in strings]
    pairs = (text.partition("=") for text in texts[1 + words :])
    found: dict[str, str] = {}
    for name, equals, value in pairs:
        if name and equals:  # anything else is no variable to Python either
            found.setdefault(name, value)  # of two the first, as getenv has it
    return Request(texts[0], tuple(texts[1 : 1 + words]), found, numbers, umask, blocked)


def format_request(request: Request) -> bytes:
    """The packet of a request, as the client makes it."""
    pairs = [f"{name}={value}" for name, value in request.variables.items()]
    head = _HEAD.pack(MAGIC, request.umask, request.blocked, len(request.words), len(pairs), len(request.handles))
    strings = [request.program, *request.words, *pairs]
    numbers = struct.pack(f"={len(request.handles)}i", *request.handles)
    return head + numbers + b"".join(os.fsencode(each) + b"\0" for each in strings)
