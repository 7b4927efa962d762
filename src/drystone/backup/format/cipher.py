"""The keys that follow from a repository's master key, and AES-256-GCM of a pack's records.

docs/reference/backup-format.md, Keys and encryption. The library is imported when something is encrypted: an
unencrypted repository does not pay for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from blake3 import blake3

from drystone.backup.format.digest import Hasher
from drystone.base.errors import DamagedError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Opener = Callable[[bytes | memoryview, bytes | memoryview], bytes]
"""From a record's head (48 bytes) and its payload to the payload as it was before encryption; DamagedError."""

MASTER = 32
"""Bytes of a master key."""
TAG = 16
"""Bytes that encryption adds to a payload."""

_HASH = "drystone backup 2 hash"
_PACK = "drystone backup 2 pack"
_OBJECT = "drystone backup 2 object"
_CHECK = "drystone backup 2 check"


def derive(context: str, material: bytes) -> bytes:
    """32 bytes by BLAKE3's key derivation."""
    return blake3(material, derive_key_context=context).digest()


def aes_gcm(key: bytes) -> AESGCM:
    """AES-256-GCM under a key of 32 bytes."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def decrypt(cipher: AESGCM, nonce: bytes, data: bytes | memoryview, bound: bytes, what: str) -> bytes:
    """The plain bytes. :raises DamagedError: the tag does not fit; `what` is named."""
    from cryptography.exceptions import InvalidTag

    if len(data) < TAG:
        raise DamagedError(f"{what} is too short to be decrypted")
    try:
        return cipher.decrypt(nonce, data, bound)
    except InvalidTag as error:
        raise DamagedError(f"{what} cannot be decrypted: it, or the key, is not the one it was") from error


class Keyring:
    """What follows from a master key of 32 bytes."""

    def __init__(self, master: bytes) -> None:
        assert len(master) == MASTER
        self.master = master
        self.pack_cipher: Callable[[bytes], AESGCM] = lru_cache(maxsize=256)(self._pack_cipher)

    def hasher(self) -> Hasher:
        """H of the repository."""
        return Hasher(derive(_HASH, self.master))

    def check(self) -> bytes:
        """What tells this master key from another."""
        return derive(_CHECK, self.master)

    def object_cipher(self, salt: bytes) -> AESGCM:
        """For one sealed object."""
        return aes_gcm(derive(_OBJECT, self.master + salt))

    def _pack_cipher(self, pack: bytes) -> AESGCM:
        return aes_gcm(derive(_PACK, self.master + pack))

    def opener(self, pack: bytes, offset: int) -> Opener:
        """Decrypts the record at byte `offset` of a pack."""
        cipher = self.pack_cipher(pack)

        def open_payload(head: bytes | memoryview, payload: bytes | memoryview) -> bytes:
            return decrypt(cipher, record_nonce(offset), payload, bytes(head[4:]), "a record")

        return open_payload


def record_nonce(offset: int) -> bytes:
    """The nonce of the record at byte `offset` of its pack."""
    return offset.to_bytes(8, "little") + bytes(4)
