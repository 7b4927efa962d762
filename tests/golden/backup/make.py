"""Make a golden repository of backups: small, with chunks as they are and compressed, map segments, and manifests.

    .venv/bin/python tests/golden/backup/make.py tests/golden/backup/v2
    .venv/bin/python tests/golden/backup/make.py tests/golden/backup/v2-encrypted --encrypted

Writes the repository as a folder store, and v2.json beside it: size and SHA-256 of every image by the backup's UUID.
A golden repository is made once, when a format version is new, and kept for ever; a new version gets another folder.
The script refuses a folder that is there. v1 was made by this script when programs wrote version 1.

    1111...  full, chunks of 64 KiB in segments of 4: noise, text, holes within a segment, a segment of zeros, a chunk
             that is there twice, a last chunk of 1,234 bytes. Deleted again: 2222... and 3333... use some of its packs.
    2222...  relative to 1111...: a chunk changed, a chunk discarded, a segment of zeros written to
    3333...  read whole and compared with 2222...: the image has grown by three chunks and 77 bytes
    4444...  of another volume: no bytes at all
    5555...  of another volume: one byte, with facts of the caller's
    6666...  (from version 2 on) of another volume: chunks of the first, found by the indexes

From version 2 on packs were rewritten at the end, so that `moved` holds some. The encrypted one has two key slots: for
the passphrase "a wall of stones", and for a key file of the bytes 0 to 63. Nothing is wrong in them.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path

from drystone.backup.collecting.choice import Limits
from drystone.backup.collecting.prune import Wish, prune
from drystone.backup.collecting.retention import Policy
from drystone.backup.format.slot import Hardness, KeyFile, Passphrase
from drystone.backup.key_slots import add_slot
from drystone.backup.repository import BackupRequest, create_repository
from drystone.backup.tuning import Tuning
from drystone.store.folder import FolderStore
from drystone.testing.sources import MemorySource

CHUNK = 65536
PASSPHRASE = Passphrase(b"a wall of stones")
KEY_FILE = KeyFile(bytes(range(64)))
FIRST, SECOND, THIRD, FOURTH, FIFTH, SIXTH = (
    f"{str(n) * 8}-{str(n) * 4}-4{str(n) * 3}-8{str(n) * 3}-{str(n) * 12}" for n in range(1, 7)
)
VOLUME = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
OTHER = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb"


def text(number: int) -> bytes:
    """A chunk that shrinks."""
    return (b"chunk %d of words " % number * 5000)[:CHUNK]


def noise(number: int) -> bytes:
    """A chunk that does not."""
    return random.Random(number).randbytes(CHUNK)


def make_images() -> tuple[bytes, bytes, bytes]:
    """The three states of the volume."""
    zeros = bytes(CHUNK)
    first = [noise(0), text(1), zeros, text(3), *[zeros] * 4, text(8), noise(0), noise(10), text(11)[:1234]]
    second = [zeros, text(101), *first[2:5], text(105), *first[6:]]
    third = [*second[:-1], second[-1] + bytes(CHUNK - 1234), text(12), zeros, text(14), text(15)[:77]]
    return b"".join(first), b"".join(second), b"".join(third)


def make(folder: Path, *, encrypted: bool) -> dict[str, dict[str, object]]:
    """The repository in a folder; what its images are."""
    tuning = Tuning(chunk_size=CHUNK, segment_slots=4, pack=2 * CHUNK)
    credential = PASSPHRASE if encrypted else None
    repository = create_repository(
        FolderStore(folder), credential, tuning=tuning, label="golden", hardness=Hardness(1024, 2, 1)
    )
    if encrypted:
        add_slot(repository.vault, KEY_FILE, "file")
    first, second, third = make_images()
    repository.create(MemorySource(first), BackupRequest(VOLUME, "golden", backup=FIRST))
    changed = MemorySource(second, [(0, 2 * CHUNK), (5 * CHUNK, 100)])
    repository.create(changed, BackupRequest(VOLUME, "golden", FIRST, backup=SECOND))
    repository.create(MemorySource(third), BackupRequest(VOLUME, "golden", SECOND, backup=THIRD))
    repository.delete(VOLUME, FIRST)
    repository.create(MemorySource(b""), BackupRequest(OTHER, "nothing", backup=FOURTH))
    repository.create(MemorySource(b"x"), BackupRequest(OTHER, "a byte", about={"Key": "välue"}, backup=FIFTH))
    sixth = third[CHUNK : 4 * CHUNK] + noise(60) + third[8 * CHUNK : 9 * CHUNK]
    repository.create(MemorySource(sixth), BackupRequest(OTHER, "shared", backup=SIXTH))
    prune(repository.vault, Wish(Policy(), Limits(max_unused=0.0)), tuning=tuning)
    images = {SECOND: second, THIRD: third, FOURTH: b"", FIFTH: b"x", SIXTH: sixth}
    return {
        backup: {
            "volume": VOLUME if backup in {SECOND, THIRD} else OTHER,
            "size": len(image),
            "sha256": hashlib.sha256(image).hexdigest(),
        }
        for backup, image in images.items()
    }


def main() -> int:
    """Make it at the path that is named."""
    folder = Path(sys.argv[1])
    if folder.exists():
        sys.exit(f"{folder} is there: golden repositories are kept, not made again")
    folder.with_suffix(".json").write_text(
        json.dumps(make(folder, encrypted="--encrypted" in sys.argv), indent=2) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
