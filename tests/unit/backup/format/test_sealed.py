"""Sealed objects open under their own key in the store, as they were, and with the right master key only."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from drystone.backup.format.cipher import Keyring, derive
from drystone.backup.format.sealed import seal, unseal
from drystone.base.errors import DamagedError, UnsupportedError

RING = Keyring(bytes(range(32)))
KEY = "drystone-backup/state/00000000000000000001"


@pytest.mark.parametrize("data", [b"", b"x", b"text " * 1000])
def test_a_round_trip(data: bytes) -> None:
    stored = seal(RING, KEY, data)
    assert len(stored) == 32 + len(data) + 16
    assert unseal(RING, KEY, stored) == data
    assert seal(RING, KEY, data) != stored, "each has a salt of its own"


def test_it_is_laid_out_as_the_reference_says() -> None:
    stored = seal(RING, KEY, b"content")
    assert stored[:16] == b"DRYSEAL\n" + bytes([2, 0, 0, 0, 0, 0, 0, 0])
    key = derive("drystone backup 2 object", RING.master + stored[16:32])
    assert AESGCM(key).decrypt(bytes(12), stored[32:], stored[:32] + KEY.encode()) == b"content"


def test_every_flipped_bit_and_every_cut_is_found() -> None:
    stored = seal(RING, KEY, b"content")
    for at in range(len(stored)):
        wrong = stored[:at] + bytes([stored[at] ^ 1]) + stored[at + 1 :]
        with pytest.raises((DamagedError, UnsupportedError)):
            unseal(RING, KEY, wrong)
        with pytest.raises(DamagedError):
            unseal(RING, KEY, stored[:at])


def test_another_place_or_key_is_refused() -> None:
    stored = seal(RING, KEY, b"content")
    with pytest.raises(DamagedError, match="cannot be decrypted"):
        unseal(RING, KEY[:-1] + "2", stored)
    with pytest.raises(DamagedError, match="cannot be decrypted"):
        unseal(Keyring(bytes(32)), KEY, stored)
    with pytest.raises(UnsupportedError, match="version 3"):
        unseal(RING, KEY, stored[:8] + b"\3" + stored[9:])
