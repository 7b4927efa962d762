"""A repository's store together with what its bytes mean: the hash, the keys, the version.

Whatever touches stored bytes takes a Vault instead of a bare store.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from drystone.backup.format import sealed
from drystone.backup.format import slot as slots
from drystone.backup.format.cipher import MASTER, Keyring, Opener
from drystone.backup.format.digest import Hasher
from drystone.backup.format.keys import REPOSITORY, SLOTS, parse_slot_key, slot_key
from drystone.backup.format.slot import Credential, Hardness, Slot
from drystone.base.clock import Clock, SystemClock, format_rfc3339
from drystone.base.errors import (
    DamagedError,
    DrystoneError,
    ExhaustedError,
    ExistsError,
    NotFoundError,
    RefusedError,
    UnsupportedError,
    UsageError,
)
from drystone.base.names import new_uuid
from drystone.store import Store
from drystone.store.abc import Data

if TYPE_CHECKING:
    from drystone.backup.format.pack import Place

FORMAT = "drystone-backup"
VERSION = 2
OLDEST = 1
"""The oldest version that can be read; only the newest is written."""
PLAIN = ("blake3", "none")
ENCRYPTED = ("blake3-keyed", "aes-256-gcm")
"""Hash and encryption, as a repository's document names them."""


class RepositoryDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What kind of repository it is (docs/reference/backup-format.md, The repository document)."""

    format: str
    version: int
    id: str
    created: str
    hash: str
    encryption: str
    check: str = ""

    @property
    def encrypted(self) -> bool:
        """Whether a credential is wanted."""
        return (self.hash, self.encryption) != PLAIN


class Vault:
    """A repository's store, opened: by `open_vault` or `create_vault`. Used by several threads.

    :ivar store: where the objects are. :ivar document: what kind of repository it is.
    :ivar ring: the keys of an encrypted repository; None for another. :ivar hasher: H of the format.
    """

    def __init__(self, store: Store, document: RepositoryDocument, ring: Keyring | None = None) -> None:
        self.store = store
        self.document = document
        self.ring = ring
        self.hasher = Hasher() if ring is None else ring.hasher()

    @property
    def version(self) -> int:
        """Of the format: 1 can be read only."""
        return self.document.version

    @property
    def encrypted(self) -> bool:
        """Whether there are keys."""
        return self.ring is not None

    def check_writable(self) -> None:
        """:raises UnsupportedError: the repository is of version 1."""
        if self.version < VERSION:
            raise UnsupportedError(
                f"the repository is of version {self.version}, which can be read and not be written to any more",
                hint="make a new one at another destination; this one stays readable",
            )

    def seal(self, key: str, data: Data) -> bytes:
        """The bytes to store under `key`: `data` itself where nothing is encrypted."""
        return bytes(data) if self.ring is None else sealed.seal(self.ring, key, data)

    def unseal(self, key: str, stored: bytes) -> bytes:
        """What `seal` was given. :raises DamagedError: not as it was stored under `key`."""
        return stored if self.ring is None else sealed.unseal(self.ring, key, stored)

    def opener(self, place: Place) -> Opener | None:
        """What decrypts the payload of the record at `place`; None where nothing is encrypted."""
        return None if self.ring is None else self.ring.opener(place.pack, place.offset)

    def put(self, key: str, data: Data) -> bytes:
        """Seal and put; the stored bytes. Durable when this returns. :raises: as `put_own`."""
        stored = self.seal(key, data)
        put_own(self.store, key, stored)
        return stored

    def get(self, key: str) -> bytes:
        """Get and unseal. :raises NotFoundError: there is no object. :raises DamagedError: as `unseal`."""
        return self.unseal(key, self.store.get(key))


def put_own(store: Store, key: str, data: Data) -> None:
    """Put an object that nobody else can have put; durable when this returns.

    A put that raises counts as failed, even where the object can be seen: its name may not be on the disk (a failed
    fsync). One that answers False for its own bytes is a store's second try whose first answer was lost.

    :raises ExistsError: other bytes are there. :raises: what the put raised.
    """
    if not store.put_if_absent(key, data) and store.get(key) != data:
        raise ExistsError(f"{key} has other bytes already")


def read_document(store: Store) -> RepositoryDocument:
    """What kind of repository is in `store`. :raises: as `open_vault`, but for what it says of credentials."""
    document = _read_document(store)
    if document is None:
        raise NotFoundError("there is no repository of backups at the destination")
    return document


def open_vault(store: Store, credential: Credential | None = None) -> Vault:
    """The repository in `store`. A credential that an unencrypted one does not need is let pass.

    :raises NotFoundError: there is no repository. :raises DamagedError: its document is wrong.
    :raises UnsupportedError: a newer version, another hash or another encryption.
    :raises UsageError: it is encrypted, and the credential is missing or fits no key slot.
    :raises DamagedError, UnsupportedError, ExhaustedError: also when the credential fits no slot, and there are some
        that are damaged, of a newer version, or need more memory than there is.
    """
    document = read_document(store)
    if not document.encrypted:
        return Vault(store, document)
    if credential is None:
        raise UsageError(
            "the repository is encrypted", hint="give --passphrase-file, DRYSTONE_PASSPHRASE or --key-file"
        )
    return Vault(store, document, _find_ring(store, document, credential))


def create_vault(
    store: Store,
    credential: Credential | None = None,
    *,
    clock: Clock | None = None,
    label: str = "",
    hardness: Hardness | None = None,
) -> Vault:
    """Make a repository in `store`, encrypted when a credential is given, or open the one that is there.

    Durable when this returns. Of several who make one at the same time one wins, and the others open it.

    :param label: of the first key slot, for people.
    :raises: as `open_vault`, but for NotFoundError. RefusedError: there is one that is not encrypted, and a
        credential was given.
    """
    found = _read_document(store)
    if found is None:
        found = _make_document(store, credential, clock or SystemClock(), label, hardness)
    if credential is not None and found.encryption == PLAIN[1]:
        raise RefusedError(
            "the repository is not encrypted, and a passphrase or key file was given",
            hint="leave it out, or make an encrypted repository at another destination",
        )
    return open_vault(store, credential)


def read_slots(vault: Vault) -> Iterator[Slot]:
    """The key slots of an encrypted repository; left out are those of another master key, damaged and newer ones."""
    return _slots(vault.store, vault.document, [])


def _make_document(
    store: Store, credential: Credential | None, clock: Clock, label: str, hardness: Hardness | None
) -> RepositoryDocument:
    """Put a document, with a slot before it; the document that is there then."""
    now = clock.now()
    slot = None
    check = ""
    if credential is not None:
        ring = Keyring(os.urandom(MASTER))
        slot = slots.make_slot(ring, credential, label, now, hardness)
        check = slot.check
        put_own(store, slot_key(slot.slot), slots.encode(slot))
    kind = PLAIN if credential is None else ENCRYPTED
    document = RepositoryDocument(
        format=FORMAT, version=VERSION, id=new_uuid(), created=format_rfc3339(now), hash=kind[0], encryption=kind[1],
        check=check,
    )  # fmt: skip
    store.put_if_absent(REPOSITORY, msgspec.json.encode(document))
    found = _read_document(store)
    if found is None:
        raise DamagedError("the repository's document is gone again")
    if slot is not None and found.check != check:
        store.delete(slot_key(slot.slot))
    return found


def _read_document(store: Store) -> RepositoryDocument | None:
    """The document, of a kind that is known here; None when there is none."""
    try:
        data = store.get(REPOSITORY)
    except NotFoundError:
        return None
    try:
        document = msgspec.json.decode(data, type=RepositoryDocument)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"the repository's document is wrong: {error}") from error
    if document.format != FORMAT:
        raise DamagedError(f"the repository's document is of format {document.format!r}, not {FORMAT!r}")
    if not OLDEST <= document.version <= VERSION:
        raise UnsupportedError(
            f"the repository is of version {document.version}; this program reads up to {VERSION}",
            hint="use a newer drystone",
        )
    known = {PLAIN} if document.version < VERSION else {PLAIN, ENCRYPTED}
    if (document.hash, document.encryption) not in known:
        raise UnsupportedError(
            f"the repository has hash {document.hash!r} and encryption {document.encryption!r}: unknown here",
            hint="use a newer drystone",
        )
    return document


def _slots(store: Store, document: RepositoryDocument, useless: list[DrystoneError]) -> Iterator[Slot]:
    """The document's slots. `useless` takes what is wrong with others: one of them keeps nobody out."""
    for key, _ in list(store.list(SLOTS)):
        if parse_slot_key(key) is not None:
            try:
                slot = slots.parse(store.get(key), key)
            except NotFoundError:
                continue
            except (DamagedError, UnsupportedError) as error:
                useless.append(error)
                continue
            # Another check: of a repository that was made at the same time as this one, and lost.
            if slot.check == document.check:
                yield slot


def _find_ring(store: Store, document: RepositoryDocument, credential: Credential) -> Keyring:
    useless: list[DrystoneError] = []
    for slot in _slots(store, document, useless):
        try:
            ring = slots.open_slot(slot, credential)
        except (DamagedError, ExhaustedError) as error:
            useless.append(error)
            continue
        if ring is not None:
            return ring
    if useless:
        raise useless[0]
    raise UsageError("the passphrase or key file fits none of the repository's key slots")
