"""Generic netlink: requests to a family of the kernel's, and their answers' attributes.

Layout: linux/netlink.h and linux/genetlink.h, in the machine's own byte order. A socket serves one request at a time.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import Self

from drystone.base.errors import KernelError, UnsupportedError

_GENERIC = 16
_REQUEST_ACK = 5
_ERROR = 2
_LEAST_FAMILY = 16
_CONTROL, _GET_FAMILY = 16, 3
_FAMILY_ID, _FAMILY_NAME = 1, 2
_NESTED = 1 << 15
_HEAD = struct.Struct("=IHHII")
_GENERIC_HEAD = struct.Struct("=BBH")
_ATTRIBUTE = struct.Struct("=HH")
_ANSWER = 1 << 16


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute's bytes, filled up to a multiple of four."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | _NESTED, b"".join(attributes))


def parse_attributes(data: bytes) -> dict[int, bytes]:
    """Attributes by kind; of several of one kind the last one. What does not fit is left out."""
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            break
        found[kind & ~_NESTED] = data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]
    return found


class GenericNetlink:
    """A connection to one family, opened by `with`.

    :param family: its name, such as "nbd".

    :raises UnsupportedError: the kernel has no such family, at `with`.
    """

    def __init__(self, family: str) -> None:
        self._name = family
        self._link: socket.socket | None = None
        self._family = 0

    def __enter__(self) -> Self:
        self._link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _GENERIC)
        self._link.bind((0, 0))
        try:
            answer = self._ask(_CONTROL, _GET_FAMILY, attribute(_FAMILY_NAME, self._name.encode() + b"\0"))
        except OSError as error:
            self.__exit__()
            if error.errno != errno.ENOENT:
                raise KernelError("find netlink family", error.errno or errno.EIO, device=self._name) from error
            raise UnsupportedError(
                f"this kernel has no {self._name} by netlink", hint=f"modprobe {self._name}"
            ) from error
        self._family = struct.unpack("=H", answer[_FAMILY_ID])[0]
        return self

    def __exit__(self, *_: object) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def ask(self, command: int, *attributes: bytes) -> dict[int, bytes]:
        """The attributes of the answer; empty when there is an acknowledgement only.

        :raises OSError: the kernel refused.
        """
        return self._ask(self._family, command, b"".join(attributes))

    def _ask(self, family: int, command: int, attributes: bytes) -> dict[int, bytes]:
        assert self._link is not None, "opened by with"
        body = _GENERIC_HEAD.pack(command, 1, 0) + attributes
        self._link.send(_HEAD.pack(_HEAD.size + len(body), family, _REQUEST_ACK, 1, 0) + body)
        answer: dict[int, bytes] = {}
        while True:
            for kind, message in _messages(self._link.recv(_ANSWER)):
                if kind == _ERROR:
                    number = -int(struct.unpack_from("=i", message)[0])
                    if number:
                        raise OSError(number, os.strerror(number))
                    return answer
                if kind >= _LEAST_FAMILY:
                    answer = parse_attributes(message[_GENERIC_HEAD.size :])


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, what follows the head) of each netlink message."""
    while len(data) >= _HEAD.size:
        length, kind = struct.unpack_from("=IH", data)
        if not _HEAD.size <= length <= len(data):
            return
        yield kind, data[_HEAD.size : length]
        data = data[(length + 3) & ~3 :]
