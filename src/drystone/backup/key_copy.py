"""Copies of a repository's key slots, for a place outside it: without a slot nobody can open it, passphrase or not.

JSON: `{"format": "drystone-backup-keys", "version": 1, "repository": "<UUID>", "slots": [...]}`, the slots as the
repository has them (docs/reference/backup-format.md). A copy is worth nothing without the passphrase or key file.
"""

from __future__ import annotations

import msgspec

from drystone.backup.format import slot as slots
from drystone.backup.format.keys import SLOTS, slot_key
from drystone.backup.format.slot import Slot
from drystone.backup.key_slots import find_keys, list_slots
from drystone.backup.vault import Vault, put_own, read_document
from drystone.base.errors import DamagedError, MismatchError, UnsupportedError
from drystone.store import Store

FORMAT = "drystone-backup-keys"
VERSION = 1
LARGEST = 1 << 20
"""Bytes of a copy."""


class KeyCopy(msgspec.Struct, frozen=True, kw_only=True):
    """The copy."""

    format: str
    version: int
    repository: str
    slots: list[Slot]


def copy_slots(vault: Vault) -> bytes:
    """A copy of all slots. :raises UsageError: the repository is not encrypted."""
    find_keys(vault)
    copy = KeyCopy(format=FORMAT, version=VERSION, repository=vault.document.id, slots=list_slots(vault))
    return msgspec.json.format(msgspec.json.encode(copy), indent=2) + b"\n"


def put_slots_back(store: Store, data: bytes) -> list[Slot]:
    """Put the slots of a copy into the repository in `store` that it is of; those that were missing. Durable then.

    :raises DamagedError: it is no copy. :raises MismatchError: it is of another repository.
    :raises UnsupportedError: a newer version. :raises NotFoundError: there is no repository.
    """
    try:
        copy = msgspec.json.decode(data, type=KeyCopy)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"it is no copy of a repository's keys: {error}") from error
    if copy.format != FORMAT:
        raise DamagedError(f"it is no copy of a repository's keys, but of format {copy.format[:40]!r}")
    if copy.version > VERSION:
        raise UnsupportedError(f"the copy of the keys is of version {copy.version}", hint="use a newer drystone")
    document = read_document(store)
    if copy.repository != document.id:
        raise MismatchError(f"the keys are those of repository {copy.repository}, and this one is {document.id}")
    there = {key for key, _ in store.list(SLOTS)}
    missing = []
    for each in copy.slots:
        key = slot_key(each.slot)
        checked = slots.parse(slots.encode(each), key)
        if checked.check != document.check:
            raise MismatchError(f"key slot {each.slot} leads to another repository's key")
        if key not in there:
            put_own(store, key, slots.encode(each))
            missing.append(each)
    return missing
