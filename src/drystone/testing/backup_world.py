"""A repository of backups in memory, small enough that a test can make it a thousand times: chunks of 64 KiB, segments
of four, packs of three.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from blake3 import blake3

from drystone.backup.format.digest import checksum
from drystone.backup.format.manifest import Head
from drystone.backup.format.slot import Hardness, Passphrase
from drystone.backup.objects import pack_sizes
from drystone.backup.pipeline import silent
from drystone.backup.state.document import State
from drystone.backup.state.generations import read_state
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault, create_vault, open_vault
from drystone.backup.writing.create import BackupRequest, create_backup
from drystone.store import Store
from drystone.testing.repositories import read_back
from drystone.testing.sources import MemorySource
from drystone.testing.stores import MemoryStore

CHUNK = 65536
TUNING = Tuning(chunk_size=CHUNK, segment_slots=4, pack=3 * CHUNK, threads=2)
VOLUME = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
_PASSPHRASE = Passphrase(b"walls of stone")


def noise(seed: int, chunks: int) -> bytes:
    """So many chunks that do not shrink."""
    return blake3(seed.to_bytes(4, "big")).digest(chunks * CHUNK)


def with_chunk(image: bytes, number: int, data: bytes) -> bytes:
    """The image with other chunks from a place on."""
    return image[: number * CHUNK] + data + image[number * CHUNK + len(data) :]


class BackupWorld:
    """A store in memory with a repository, and the images that its backups must have.

    :ivar objects: the store's. :ivar images: by (volume, backup), what was backed up.
    """

    def __init__(self, *, encrypted: bool = False) -> None:
        self.store = MemoryStore()
        self._credential = _PASSPHRASE if encrypted else None
        self.vault = create_vault(self.store, self._credential, hardness=Hardness(memory=64, iterations=1, lanes=1))
        self.images: dict[tuple[str, str], bytes] = {}
        self.tuning = TUNING
        self._now = datetime(2026, 1, 1, tzinfo=UTC)

    def copy(self) -> BackupWorld:
        """Another world that is as this one is now."""
        other = BackupWorld.__new__(BackupWorld)
        other.__dict__.update(self.__dict__)
        other.store = MemoryStore()
        other.store.objects.update(self.store.objects)
        other.vault = Vault(other.store, self.vault.document, self.vault.ring)
        other.images = dict(self.images)
        return other

    @property
    def objects(self) -> dict[str, bytes]:
        """What is in the store."""
        return self.store.objects

    def now(self) -> datetime:
        """An hour later at every look: the world is its own clock."""
        self._now += timedelta(hours=1)
        return self._now

    def monotonic(self) -> float:
        """Seconds of the same clock."""
        return self._now.timestamp()

    def sleep(self, seconds: float) -> None:
        """Pass some time."""
        self._now += timedelta(seconds=seconds)

    def vault_of(self, store: Store) -> Vault:
        """The repository by way of another store in front of this one."""
        return open_vault(store, self._credential)

    def back_up(
        self,
        image: bytes,
        base: Head | None = None,
        changed: list[tuple[int, int]] | None = None,
        *,
        volume: str = VOLUME,
        backup: str = "",
        vault: Vault | None = None,
    ) -> Head:
        """Make a backup. `changed`: (first chunk, chunks) that differ from the base; None: all is read."""
        ranges = None if changed is None else [(first * CHUNK, count * CHUNK) for first, count in changed]
        request = BackupRequest(volume, "test", base.backup if base else "", backup=backup)
        if backup:
            self.images[volume, backup] = image
        head = create_backup(
            vault or self.vault, MemorySource(image, ranges), request, tuning=self.tuning, clock=self, progress=silent
        )
        self.images[volume, head.backup] = image
        return head

    def state(self) -> State:
        """The newest."""
        return read_state(self.vault)

    def packs(self) -> dict[bytes, int]:
        """Bytes of the packs that are there."""
        return pack_sizes(self.vault)

    def restored(self, volume: str, backup: str) -> bytes:
        """The image of a backup, read back."""
        return read_back(self.vault, volume, backup, self.tuning)

    def check(self) -> None:
        """Every backup that is listed is what was backed up."""
        for each in self.state().backups:
            assert self.restored(each.volume, each.backup) == self.images[each.volume, each.backup]

    def damage(self, key: str, at: int) -> None:
        """Flip the bits of a byte of an object."""
        data = bytearray(self.store.objects[key])
        data[at] ^= 0xFF
        self.store.objects[key] = bytes(data)

    def snapshot(self) -> str:
        """A digest of all that is in the store: nothing was changed where it is the same."""
        return checksum(b"".join(key.encode() + data for key, data in sorted(self.objects.items()))).hex()
