"""NBD's bytes and what a server answers to them: pure, no socket is touched here.

Source: the NBD project's doc/proto.md. Fixed newstyle negotiation with EXPORT_NAME, ABORT, LIST, INFO and GO; simple
replies; the transmission phase of an export that cannot be written to.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

MAGIC = 0x4E42444D41474943
OPTION_MAGIC = 0x49484156454F5054
REPLY_MAGIC = 0x0003E889045565A9
REQUEST_MAGIC = 0x25609513
SIMPLE_REPLY_MAGIC = 0x67446698

HELLO = struct.Struct(">QQH")
CLIENT_FLAGS = struct.Struct(">I")
OPTION = struct.Struct(">QII")
OPTION_REPLY = struct.Struct(">QIII")
EXPORT = struct.Struct(">QH")
REQUEST = struct.Struct(">IHHQQI")
SIMPLE_REPLY = struct.Struct(">IIQ")

FIXED_NEWSTYLE = 1
NO_ZEROES = 2
HAS_FLAGS, READ_ONLY, SEND_FLUSH, CAN_MULTI_CONN = 1, 2, 4, 256
TRANSMISSION_FLAGS = HAS_FLAGS | READ_ONLY | SEND_FLUSH | CAN_MULTI_CONN
"""Of every export here: it is read only, and all connections see the same bytes."""

LARGEST_OPTION = 8192
"""Bytes of an option's data: a name has 4,096 at most."""
LARGEST_READ = 32 << 20
"""Bytes that a client may read at once: what the protocol has it count on."""
LARGEST_WRITE = 64 << 20
"""Bytes of a refused write that are still taken off the line."""

EPERM, EIO, EINVAL, ESHUTDOWN = 1, 5, 22, 108


class Option(IntEnum):
    """What a client asks for before it has chosen an export."""

    EXPORT_NAME = 1
    ABORT = 2
    LIST = 3
    INFO = 6
    GO = 7


class Reply(IntEnum):
    """Kinds of answers to an option."""

    ACK = 1
    SERVER = 2
    INFO = 3
    UNSUPPORTED = 0x80000001
    INVALID = 0x80000003
    UNKNOWN = 0x80000006


class Command(IntEnum):
    """Requests of the transmission phase."""

    READ = 0
    WRITE = 1
    DISCONNECT = 2
    FLUSH = 3
    TRIM = 4
    WRITE_ZEROES = 6


_CHANGING = frozenset({Command.WRITE, Command.TRIM, Command.WRITE_ZEROES})
_INFO_EXPORT, _INFO_BLOCK_SIZE = 0, 3
_PREFERRED = 4096


class ProtocolError(Exception):
    """What came cannot be answered: the connection ends."""


@dataclass(frozen=True, slots=True)
class Description:
    """What an export is called, and its size in bytes."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What to send, and what comes then: `chosen` begins the transmission phase, `ends` the connection's end."""

    data: bytes
    chosen: bool = False
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A request of the transmission phase. Offset and length are bytes."""

    command: int
    cookie: int
    offset: int
    length: int

    @property
    def payload(self) -> int:
        """Bytes that follow it on the line."""
        return self.length if self.command == Command.WRITE else 0


def hello() -> bytes:
    """What a server says first."""
    return HELLO.pack(MAGIC, OPTION_MAGIC, FIXED_NEWSTYLE | NO_ZEROES)


def parse_client_flags(data: bytes) -> bool:
    """Whether the client goes without the 124 zeros after an export. :raises ProtocolError: it has unknown flags."""
    (flags,) = CLIENT_FLAGS.unpack(data)
    if flags & ~(FIXED_NEWSTYLE | NO_ZEROES):
        raise ProtocolError(f"a client has flags {flags:#x}")
    return bool(flags & NO_ZEROES)


def parse_option(data: bytes) -> tuple[int, int]:
    """(option, length of its data). :raises ProtocolError: it is no option, or longer than any."""
    magic, option, length = OPTION.unpack(data)
    if magic != OPTION_MAGIC:
        raise ProtocolError(f"an option begins with {magic:#x}")
    if length > LARGEST_OPTION:
        raise ProtocolError(f"an option of {length} bytes")
    return option, length


def answer_option(option: int, data: bytes, export: Description, *, no_zeroes: bool) -> Answer:
    """What to answer to an option. A client that names no export ("") gets the one there is.

    :raises ProtocolError: EXPORT_NAME of another export, to which the protocol has no other answer.
    """
    names = {b"", export.name.encode()}
    if option == Option.EXPORT_NAME:
        if data not in names:
            raise ProtocolError(f"there is no export {data[:60]!r}")
        zeros = b"" if no_zeroes else bytes(124)
        return Answer(EXPORT.pack(export.size, TRANSMISSION_FLAGS) + zeros, chosen=True)
    if option == Option.ABORT:
        return Answer(_reply(option, Reply.ACK), ends=True)
    if option == Option.LIST:
        if data:
            return Answer(_reply(option, Reply.INVALID, b"LIST takes nothing"))
        name = export.name.encode()
        return Answer(_reply(option, Reply.SERVER, struct.pack(">I", len(name)) + name) + _reply(option, Reply.ACK))
    if option in {Option.INFO, Option.GO}:
        return _answer_info(option, data, names, export)
    return Answer(_reply(option, Reply.UNSUPPORTED))


def _answer_info(option: int, data: bytes, names: set[bytes], export: Description) -> Answer:
    """u32 length of the name, name, u16 number of infos, u16 each."""
    length = int.from_bytes(data[:4], "big")
    infos = data[4 + length :]
    if len(data) < 6 or len(infos) < 2 or len(infos) != 2 + 2 * int.from_bytes(infos[:2], "big"):
        return Answer(_reply(option, Reply.INVALID, b"lengths do not fit"))
    if data[4 : 4 + length] not in names:
        return Answer(_reply(option, Reply.UNKNOWN))
    told = _reply(option, Reply.INFO, struct.pack(">H", _INFO_EXPORT) + EXPORT.pack(export.size, TRANSMISSION_FLAGS))
    told += _reply(option, Reply.INFO, struct.pack(">HIII", _INFO_BLOCK_SIZE, 1, _PREFERRED, LARGEST_READ))
    return Answer(told + _reply(option, Reply.ACK), chosen=option == Option.GO)


def _reply(option: int, kind: Reply, data: bytes = b"") -> bytes:
    return OPTION_REPLY.pack(REPLY_MAGIC, option, kind, len(data)) + data


def parse_request(data: bytes) -> Request:
    """A request out of its 28 bytes. :raises ProtocolError: it is none, or is followed by more than any."""
    magic, _flags, command, cookie, offset, length = REQUEST.unpack(data)
    if magic != REQUEST_MAGIC:
        raise ProtocolError(f"a request begins with {magic:#x}")
    request = Request(command, cookie, offset, length)
    if request.payload > LARGEST_WRITE:
        raise ProtocolError(f"a write of {length} bytes")
    return request


def refusal(request: Request, size: int) -> int:
    """The errno of a request that is not to be done; 0 for a read or a flush that is."""
    if request.command in _CHANGING:
        return EPERM
    if request.command == Command.FLUSH:
        return 0
    if request.command != Command.READ or request.length > LARGEST_READ or request.offset + request.length > size:
        return EINVAL
    return 0


def simple_reply(cookie: int, error: int) -> bytes:
    """The head of a reply; the bytes that were read follow when there is no error."""
    return SIMPLE_REPLY.pack(SIMPLE_REPLY_MAGIC, error, cookie)
