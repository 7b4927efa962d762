"""The names of a repository's objects in its store (docs/reference/backup-format.md, Keys)."""

from __future__ import annotations

import os
import re

from drystone.base.errors import UsageError

ROOT = "drystone-backup"
REPOSITORY = f"{ROOT}/repository"
VOLUMES = f"{ROOT}/volumes"
PACKS = f"{ROOT}/packs"
OPEN = f"{ROOT}/open"

PACK_ID = 16
"""Bytes of a pack's id."""

_WRITER = 12
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PACK_KEY = re.compile(re.escape(PACKS) + r"/([0-9a-f]{2})/(\1[0-9a-f]{30})")
_BACKUP_KEY = re.compile(re.escape(VOLUMES) + rf"/({_UUID.pattern})/backups/({_UUID.pattern})")


def check_uuid(text: str, what: str) -> str:
    """`text` itself when it is a UUID in lower case. :raises UsageError: otherwise."""
    if _UUID.fullmatch(text) is None:
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
    return (match[1], match[3]) if match else None


def operation_key(operation: str) -> str:
    """Where an operation under way says that it is."""
    return f"{OPEN}/{check_uuid(operation, 'operation')}"


def new_writer() -> bytes:
    """A name for one run of a backup: 12 random bytes, with which the ids of all its packs begin."""
    return os.urandom(_WRITER)


def pack_writer(pack: bytes) -> bytes:
    """The writer's name in a pack's id."""
    return pack[:_WRITER]


def pack_id(writer: bytes, number: int) -> bytes:
    """The id of the `number`-th pack of a writer, from 0 on."""
    return writer + number.to_bytes(PACK_ID - _WRITER, "big")


def pack_key(pack: bytes) -> str:
    """Where a pack is."""
    name = pack.hex()
    return f"{PACKS}/{name[:2]}/{name}"


def parse_pack_key(key: str) -> bytes | None:
    """The id of the pack at `key`; None for another object's."""
    match = _PACK_KEY.fullmatch(key)
    return bytes.fromhex(match[2]) if match else None
