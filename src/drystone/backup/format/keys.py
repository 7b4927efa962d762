"""The names of a repository's objects in its store (docs/reference/backup-format.md, Keys)."""

from __future__ import annotations

import os
import re

from drystone.base.errors import UsageError

ROOT = "drystone-backup"
REPOSITORY = f"{ROOT}/repository"
SLOTS = f"{ROOT}/keys"
STATE = f"{ROOT}/state"
VOLUMES = f"{ROOT}/volumes"
PACKS = f"{ROOT}/packs"
INDEX = f"{ROOT}/index"
OPEN = f"{ROOT}/open"
PROGRESS = f"{ROOT}/progress"

PACK_ID = 16
"""Bytes of a pack's id."""

WRITER = 12
"""Bytes of a writer's name, with which the ids of its packs begin."""

UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
"""A pattern: lower case only."""

_PACK_KEY = re.compile(re.escape(PACKS) + r"/([0-9a-f]{2})/(\1[0-9a-f]{30})")
_BACKUP_KEY = re.compile(re.escape(VOLUMES) + rf"/({UUID})/backups/({UUID})")
_STATE_KEY = re.compile(re.escape(STATE) + r"/([0-9]{20})")
_INDEX_KEY = re.compile(re.escape(INDEX) + r"/([0-9a-f]{24})")
_OPERATION_KEY = re.compile(re.escape(OPEN) + rf"/({UUID})")
_PROGRESS_KEY = re.compile(re.escape(PROGRESS) + rf"/({UUID})/([0-9]{{10}})")
_SLOT_KEY = re.compile(re.escape(SLOTS) + rf"/({UUID})")


def check_uuid(text: str, what: str) -> str:
    """`text` itself when it is a UUID in lower case. :raises UsageError: otherwise."""
    if re.fullmatch(UUID, text) is None:
        raise UsageError(f"{what} {text[:60]!r} is no UUID")
    return text


def backups_of(volume: str) -> str:
    """The prefix of a volume's manifests."""
    return f"{VOLUMES}/{check_uuid(volume, 'volume')}/backups"


def manifest_key(volume: str, backup: str) -> str:
    """Where a manifest is."""
    return f"{backups_of(volume)}/{check_uuid(backup, 'backup')}"


def parse_manifest_key(key: str) -> tuple[str, str] | None:
    """(volume, backup) of a manifest's key; None for another object's."""
    match = _BACKUP_KEY.fullmatch(key)
    return (match[1], match[2]) if match else None


def slot_key(slot: str) -> str:
    """Where a key slot is."""
    return f"{SLOTS}/{check_uuid(slot, 'key slot')}"


def parse_slot_key(key: str) -> str | None:
    """The UUID of the key slot at `key`; None for another object's."""
    match = _SLOT_KEY.fullmatch(key)
    return match[1] if match else None


def state_key(number: int) -> str:
    """Where a generation of the state is."""
    return f"{STATE}/{number:020d}"


def parse_state_key(key: str) -> int | None:
    """The number of the generation at `key`; None for another object's."""
    match = _STATE_KEY.fullmatch(key)
    return int(match[1]) if match else None


def operation_key(operation: str) -> str:
    """Where an operation under way says that it is."""
    return f"{OPEN}/{check_uuid(operation, 'operation')}"


def parse_operation_key(key: str) -> str | None:
    """The UUID of the operation at `key`; None for another object's."""
    match = _OPERATION_KEY.fullmatch(key)
    return match[1] if match else None


def progress_of(operation: str) -> str:
    """The prefix of an operation's progress."""
    return f"{PROGRESS}/{check_uuid(operation, 'operation')}"


def progress_key(operation: str, number: int) -> str:
    """Where the `number`-th progress object of an operation is, from 0 on."""
    return f"{progress_of(operation)}/{number:010d}"


def parse_progress_key(key: str) -> tuple[str, int] | None:
    """(operation, number) of a progress object's key; None for another object's."""
    match = _PROGRESS_KEY.fullmatch(key)
    return (match[1], int(match[2])) if match else None


def index_key(name: str) -> str:
    """Where an index is; `name` is 24 hex digits."""
    key = f"{INDEX}/{name}"
    if parse_index_key(key) is None:
        raise UsageError(f"{name[:40]!r} is no name of an index")
    return key


def parse_index_key(key: str) -> str | None:
    """The name of the index at `key`; None for another object's."""
    match = _INDEX_KEY.fullmatch(key)
    return match[1] if match else None


def new_writer() -> bytes:
    """A name for one run of a backup: 12 random bytes, with which the ids of all its packs begin."""
    return os.urandom(WRITER)


def pack_writer(pack: bytes) -> bytes:
    """The writer's name in a pack's id."""
    return pack[:WRITER]


def pack_id(writer: bytes, number: int) -> bytes:
    """The id of the `number`-th pack of a writer, from 0 on."""
    return writer + number.to_bytes(PACK_ID - WRITER, "big")


def pack_key(pack: bytes) -> str:
    """Where a pack is."""
    name = pack.hex()
    return f"{PACKS}/{name[:2]}/{name}"


def parse_pack_key(key: str) -> bytes | None:
    """The id of the pack at `key`; None for another object's."""
    match = _PACK_KEY.fullmatch(key)
    return bytes.fromhex(match[2]) if match else None
