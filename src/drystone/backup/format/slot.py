"""Key slots: a repository's master key, wrapped by a passphrase or a key file (docs/reference/backup-format.md)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from drystone.backup.format.cipher import MASTER, Keyring, aes_gcm, decrypt, derive
from drystone.backup.format.keys import SLOTS, slot_key
from drystone.base.clock import format_instant
from drystone.base.errors import DamagedError, ExhaustedError, UnsupportedError, UsageError
from drystone.base.names import new_uuid
from drystone.base.sizes import format_size

VERSION = 1
ARGON = "argon2id"
FILE = "blake3"

MOST_MEMORY = 4 << 20
"""KiB that a slot may make its reader use: 4 GiB."""
MOST_ROUNDS = 64
"""Iterations, and lanes."""

_SALT = 16
_NONCE = bytes(12)
_KEY_FILE = "drystone backup 2 key file"


@dataclass(frozen=True, slots=True)
class Passphrase:
    """A passphrase, as its UTF-8 bytes. :raises UsageError: it is empty."""

    text: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not self.text:
            raise UsageError("the passphrase is empty")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """The content of a key file. :raises UsageError: fewer than 32 bytes."""

    data: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.data) < MASTER:
            raise UsageError(f"a key file holds {MASTER} bytes at least, not {len(self.data)}")


Credential = Passphrase | KeyFile


@dataclass(frozen=True, slots=True)
class Hardness:
    """What a guess at a passphrase costs: KiB of memory, iterations, lanes.

    By default as much work as RFC 9106's second recommendation (64 MiB three times), in half the memory: whoever opens
    a repository has it too, and it would be the most that a restore takes.
    """

    memory: int = 32 << 10
    iterations: int = 6
    lanes: int = 4


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """A slot. `salt`, `wrapped` and `check` are hex."""

    version: int = VERSION
    slot: str
    label: str
    created: str
    kdf: str
    salt: str
    memory: int
    iterations: int
    lanes: int
    wrapped: str
    check: str


def make_slot(
    ring: Keyring, credential: Credential, label: str, now: datetime, hardness: Hardness | None = None
) -> Slot:
    """A new slot that leads from `credential` to the master key of `ring`."""
    name, salt = new_uuid(), os.urandom(_SALT)
    cost = (hardness or Hardness()) if isinstance(credential, Passphrase) else Hardness(0, 0, 0)
    wrapped = aes_gcm(_wrapping_key(credential, salt, cost)).encrypt(_NONCE, ring.master, slot_key(name).encode())
    return Slot(
        slot=name,
        label=label,
        created=format_instant(now),
        kdf=ARGON if isinstance(credential, Passphrase) else FILE,
        salt=salt.hex(),
        memory=cost.memory,
        iterations=cost.iterations,
        lanes=cost.lanes,
        wrapped=wrapped.hex(),
        check=ring.check().hex(),
    )


def encode(slot: Slot) -> bytes:
    """The slot's object."""
    return msgspec.json.encode(slot)


def parse(data: bytes, key: str) -> Slot:
    """The slot in the object at `key`.

    :raises DamagedError: it is none. :raises UnsupportedError: a newer version, or an unknown way to derive keys.
    """
    try:
        slot = msgspec.json.decode(data, type=Slot)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"{key} is no key slot: {error}") from error
    if slot.version > VERSION or slot.kdf not in {ARGON, FILE}:
        raise UnsupportedError(
            f"{key} is of version {slot.version} and derives keys by {slot.kdf[:40]!r}: unknown here",
            hint="use a newer drystone",
        )
    if f"{SLOTS}/{slot.slot}" != key:
        raise DamagedError(f"{key} says that it is slot {slot.slot[:40]}")
    if slot.kdf == ARGON and not (
        0 < slot.iterations <= MOST_ROUNDS
        and 0 < slot.lanes <= MOST_ROUNDS
        and 8 * slot.lanes <= slot.memory <= MOST_MEMORY
    ):
        raise DamagedError(f"{key} asks for {slot.memory} KiB, {slot.iterations} iterations and {slot.lanes} lanes")
    return slot


def open_slot(slot: Slot, credential: Credential) -> Keyring | None:
    """The keys that `credential` leads to; None when it does not fit this slot.

    :raises DamagedError: a broken slot. :raises ExhaustedError: it asks for more memory than there is.
    """
    if (slot.kdf == ARGON) != isinstance(credential, Passphrase):
        return None
    try:
        salt, wrapped, check = bytes.fromhex(slot.salt), bytes.fromhex(slot.wrapped), bytes.fromhex(slot.check)
    except ValueError as error:
        raise DamagedError(f"key slot {slot.slot} is damaged: {error}") from error
    if len(salt) != _SALT:
        raise DamagedError(f"key slot {slot.slot} is damaged: its salt has {len(salt)} bytes")
    cost = Hardness(slot.memory, slot.iterations, slot.lanes)
    cipher = aes_gcm(_wrapping_key(credential, salt, cost))
    try:
        master = decrypt(cipher, _NONCE, wrapped, slot_key(slot.slot).encode(), "the slot")
    except DamagedError:
        return None
    if len(master) != MASTER or Keyring(master).check() != check:
        raise DamagedError(f"key slot {slot.slot} is damaged: it leads to another key")
    return Keyring(master)


def _wrapping_key(credential: Credential, salt: bytes, cost: Hardness) -> bytes:
    if isinstance(credential, KeyFile):
        return derive(_KEY_FILE, salt + credential.data)
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    kdf = Argon2id(salt=salt, length=MASTER, iterations=cost.iterations, lanes=cost.lanes, memory_cost=cost.memory)
    try:
        return kdf.derive(credential.text)
    except MemoryError as error:
        size = format_size(cost.memory << 10)
        raise ExhaustedError(f"a key slot needs {size} of memory to be opened, and there is less") from error
