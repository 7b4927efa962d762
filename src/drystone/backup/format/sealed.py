"""Sealed objects: whole objects encrypted, bound to their key in the store (docs/reference/backup-format.md)."""

from __future__ import annotations

import os
import struct

from drystone.backup.format.cipher import Keyring, decrypt
from drystone.base.errors import DamagedError, UnsupportedError

VERSION = 2

_MAGIC = b"DRYSEAL\n"
_FRONT = struct.Struct("<8sII16s")
_SALT = 16
_NONCE = bytes(12)


def seal(ring: Keyring, key: str, data: bytes | bytearray | memoryview) -> bytes:
    """`data` as the sealed object that will be stored under `key`."""
    salt = os.urandom(_SALT)
    front = _FRONT.pack(_MAGIC, VERSION, 0, salt)
    return front + ring.object_cipher(salt).encrypt(_NONCE, data, front + key.encode())


def unseal(ring: Keyring, key: str, data: bytes) -> bytes:
    """What was sealed for `key`.

    :raises DamagedError: it is not a sealed object, not of this key, or not as it was. :raises UnsupportedError: newer.
    """
    if len(data) < _FRONT.size:
        raise DamagedError(f"{key} has {len(data)} bytes: no sealed object")
    magic, version, zero, salt = _FRONT.unpack_from(data)
    if magic != _MAGIC or zero:
        raise DamagedError(f"{key} does not begin as a sealed object does")
    if version > VERSION:
        raise UnsupportedError(
            f"{key} is sealed by version {version}; this program reads up to {VERSION}", hint="use a newer drystone"
        )
    cipher = ring.object_cipher(salt)
    return decrypt(cipher, _NONCE, memoryview(data)[_FRONT.size :], data[: _FRONT.size] + key.encode(), key)
