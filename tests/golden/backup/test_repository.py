"""The golden repositories, read by a reader that follows docs/reference/backup-format.md (backup-format-1.md) and knows
nothing of ours.

Nothing of `drystone` is used by the reader: where it and the engine differ, the document or the engine has a defect.
The engine reads the same repository at the end: a backup that was ever made stays readable.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import struct
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from drystone.backup.format.slot import Credential, KeyFile, Passphrase
from drystone.backup.repository import BackupRequest, open_repository
from drystone.base.errors import UnsupportedError
from drystone.store.folder import FolderStore
from drystone.testing.repositories import sweep
from drystone.testing.sources import MemorySource

FOLDER = Path(__file__).parent
VERSIONS = ["v1", "v2", "v2-encrypted"]
PASSPHRASE = b"a wall of stones"
KEY_FILE = bytes(range(64))
ZERO = bytes(32)

Expected = dict[str, dict[str, Any]]


def make_crc_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = make_crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli), as in RFC 3720, B.4."""
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ CRC_TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


@dataclass(frozen=True)
class Record:
    kind: int
    codec: int
    digest: bytes
    plain: bytes


def derive(context: str, material: bytes) -> bytes:
    return blake3(material, derive_key_context=context).digest()


def open_slot(path: Path, secret: bytes) -> bytes | None:
    """The master key out of a key slot; None when the secret is not that of this slot."""
    slot = json.loads(path.read_text())
    assert (slot["version"], slot["slot"]) == (1, path.name)
    salt = bytes.fromhex(slot["salt"])
    assert len(salt) == 16
    if slot["kdf"] == "argon2id":
        costs = {"iterations": slot["iterations"], "lanes": slot["lanes"], "memory_cost": slot["memory"]}
        key = Argon2id(salt=salt, length=32, **costs).derive(secret)
    else:
        assert slot["kdf"] == "blake3"
        key = derive("drystone backup 2 key file", salt + secret)
    try:
        master = AESGCM(key).decrypt(
            bytes(12), bytes.fromhex(slot["wrapped"]), f"drystone-backup/keys/{path.name}".encode()
        )
    except InvalidTag:
        return None
    assert len(master) == 32
    assert derive("drystone backup 2 check", master).hex() == slot["check"]
    return master


class Reader:
    """A repository in a folder, read by the document."""

    def __init__(self, folder: Path, secret: bytes = b"") -> None:
        self.root = folder / "drystone-backup"
        document = json.loads((self.root / "repository").read_text())
        self.version = document["version"]
        assert document["format"] == "drystone-backup"
        self.master: bytes | None = None
        kinds = {("blake3", "none"): False, ("blake3-keyed", "aes-256-gcm"): True}
        if kinds[document["hash"], document["encryption"]]:
            assert self.version == 2
            found = [open_slot(path, secret) for path in (self.root / "keys").iterdir()]
            (self.master,) = [each for each in found if each is not None]
            assert document["check"] == derive("drystone backup 2 check", self.master).hex()
        self.state = self.newest() if self.version == 2 else {}
        self.moved = {
            bytes.fromhex(old): list(map(bytes.fromhex, new)) for old, new in self.state.get("moved", {}).items()
        }

    def h(self, data: bytes) -> bytes:
        """H of the document."""
        if self.master is None:
            return blake3(data).digest()
        return blake3(data, key=derive("drystone backup 2 hash", self.master)).digest()

    def get(self, key: str) -> tuple[bytes, bytes]:
        """An object that may be sealed: (stored bytes, plain bytes)."""
        stored = (self.root / key).read_bytes()
        if self.master is None:
            return stored, stored
        assert stored[:16] == b"DRYSEAL\n" + struct.pack("<II", 2, 0)
        cipher = AESGCM(derive("drystone backup 2 object", self.master + stored[16:32]))
        return stored, cipher.decrypt(bytes(12), stored[32:], stored[:32] + f"drystone-backup/{key}".encode())

    def newest(self) -> dict[str, Any]:
        """The newest generation; those before it lead to it."""
        names = sorted(path.name for path in (self.root / "state").iterdir())
        assert all(re.fullmatch(r"[0-9]{20}", each) for each in names)
        before = ""
        for name in names:
            stored, data = self.get(f"state/{name}")
            plain = zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 30)
            state: dict[str, Any] = json.loads(plain)
            assert (state["version"], state["number"]) == (2, int(name))
            if before or state["number"] == 1:
                assert state["previous"] == before
            before = blake3(stored).hexdigest()
        return state

    def find(self, place: tuple[bytes, int, int], digest: bytes, kind: int) -> tuple[bytes, int, int]:
        """Where a record is now, whose place in the map is this."""
        waiting = list(self.moved.get(place[0], []))
        while waiting:
            pack = waiting.pop(0)
            waiting += self.moved.get(pack, [])
            for name, offset, length, its_kind in self.index_of(pack):
                if (name, its_kind) == (digest, kind):
                    return pack, offset, length
        return place

    def index_of(self, pack: bytes) -> list[tuple[bytes, int, int, int]]:
        """(digest, offset, length, kind) of a pack's records, by the index at its end."""
        data = self.pack_path(pack).read_bytes()
        count, _, at, _ = struct.unpack_from("<IIII", data, len(data) - 24)
        rows = [data[at + 48 * each : at + 48 * each + 48] for each in range(count)]
        return [(row[:32], *struct.unpack_from("<II", row, 32), row[44]) for row in rows]

    def check_index(self, name: str) -> int:
        """An index: in order, and every entry is the record that it says. The entries."""
        _, data = self.get(f"index/{name}")
        assert data[-32:] == blake3(data[:-32]).digest()
        assert data[:8] == b"DRYINDX\n"
        version, n, p, zero = struct.unpack_from("<IIII", data, 8)
        assert (version, zero) == (2, 0)
        at = 24 + 16 * p
        packs = [data[24 + 16 * each : 40 + 16 * each] for each in range(p)]
        digests = [data[at + 32 * each : at + 32 * each + 32] for each in range(n)]
        assert packs == sorted(set(packs))
        assert digests == sorted(digests)
        at += 32 * n
        places, offsets, lengths = (struct.unpack_from(f"<{n}I", data, at + 4 * n * column) for column in range(3))
        assert len(data) == at + 12 * n + 32
        for digest, place, offset, length in zip(digests, places, offsets, lengths, strict=True):
            record = self.record(packs[place], offset, length)
            assert (record.kind, record.digest) == (1, digest)
        return int(n)

    def pack_path(self, pack: bytes) -> Path:
        return self.root / "packs" / pack.hex()[:2] / pack.hex()

    def record(self, pack: bytes, offset: int, length: int) -> Record:
        """The record there, checked."""
        data = self.pack_path(pack).read_bytes()[offset : offset + length]
        assert len(data) == length
        crc, payload_length, plain_length, kind, codec, zero = struct.unpack_from("<IIIBBH", data)
        digest, payload = data[16:48], data[48:]
        assert crc == crc32c(data[4:])
        assert len(payload) == payload_length
        if self.master is not None:
            cipher = AESGCM(derive("drystone backup 2 pack", self.master + pack))
            payload = cipher.decrypt(struct.pack("<QI", offset, 0), payload, data[4:48])
        assert len(payload) <= plain_length
        assert 1 <= plain_length <= 16 << 20
        assert kind in {1, 2 if self.version == 1 else 3}
        assert zero == 0
        assert codec in {0, 1}
        plain = zstandard.ZstdDecompressor().decompress(payload, max_output_size=plain_length) if codec else payload
        assert len(plain) == plain_length
        assert kind == 3 or self.h(plain) == digest
        return Record(kind, codec, digest, plain)

    def check_pack(self, pack: bytes) -> list[Record]:
        """All records of a pack, one after the other, compared with the index."""
        data = self.pack_path(pack).read_bytes()
        assert len(data) <= 1 << 30
        assert data[:8] == b"DRYPACK\n"
        assert struct.unpack_from("<II", data, 8) == (self.version, int(self.master is not None))
        assert data[16:32] == pack
        trailer = data[-24:]
        count, index_crc, index_at, own_crc = struct.unpack_from("<IIII", trailer)
        assert trailer[16:] == b"DRYPEND\n"
        assert own_crc == crc32c(data[:32] + trailer[:12])
        index = data[index_at:-24]
        assert len(index) == 48 * count
        assert index_crc == crc32c(index)
        records = []
        at = 32
        for number in range(count):
            entry = index[number * 48 : (number + 1) * 48]
            offset, length, plain_length, kind, codec, zero = struct.unpack_from("<IIIBBH", entry, 32)
            assert offset == at
            assert zero == 0
            record = self.record(pack, offset, length)
            assert (entry[:32], plain_length) == (record.digest, len(record.plain))
            assert (kind, codec) == (record.kind, record.codec)
            records.append(record)
            at += length
        assert at == index_at
        return records

    def manifest(self, volume: str, backup: str) -> Manifest:
        stored, data = self.get(f"volumes/{volume}/backups/{backup}")
        assert data[-32:] == blake3(data[:-32]).digest()
        assert data[:8] == b"DRYMANI\n"
        version, h, m, p = struct.unpack_from("<IIII", data, 8)
        assert version == 1
        assert len(data) == 24 + h + 48 * m + 40 * p + 32
        head = json.loads(data[24 : 24 + h])
        assert (head["volume"], head["backup"]) == (volume, backup)
        if self.version == 2:
            (entry,) = [each for each in self.state["backups"] if each["backup"] == backup]
            assert entry == {**head, "manifest": blake3(stored).hexdigest()}
        segments, packs = [], []
        for number in range(m):
            at = 24 + h + 48 * number
            segments.append(
                (
                    data[at + 4 : at + 36],
                    *struct.unpack_from("<I", data, at),
                    *struct.unpack_from("<III", data, at + 36),
                )
            )
        for number in range(p):
            at = 24 + h + 48 * m + 40 * number
            packs.append((data[at : at + 16], *struct.unpack_from("<QQQ", data, at + 16)))
        assert [each[1] for each in segments] == sorted({each[1] for each in segments})
        assert [each[0] for each in packs] == sorted({each[0] for each in packs})
        return Manifest(head, segments, packs)

    def restore(self, volume: str, backup: str) -> bytes:
        """The image, every sum and count of the document checked on the way."""
        manifest = self.manifest(volume, backup)
        head, size, chunk_size, slots = (
            manifest.head,
            *(manifest.head[key] for key in ("size", "chunk_size", "segment_slots")),
        )
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", head["created"])
        chunks = -(-size // chunk_size)
        digests = [ZERO] * -(-chunks // slots)
        image = bytearray(size)
        used: dict[bytes, list[int]] = defaultdict(lambda: [0, 0])
        present = 0
        for digest, number, pack_place, offset, length in manifest.segments:
            pack = manifest.packs[pack_place][0]
            used[pack][0] += 1
            used[pack][1] += length
            kind = 2 if self.version == 1 else 3
            record = self.record(*self.find((pack, offset, length), digest, kind))
            assert record.kind == kind
            assert record.digest == digest or kind == 2
            digests[number] = digest
            own_slots = min(slots, chunks - number * slots)
            for slot, leaf, place in parse_segment(record.plain, number, own_slots, digest, self.h):
                used[place[0]][0] += 1
                used[place[0]][1] += place[2]
                present += 1
                chunk = self.record(*self.find(place, leaf, 1))
                assert (chunk.kind, chunk.digest) == (1, leaf)
                begin = (number * slots + slot) * chunk_size
                assert len(chunk.plain) == min(chunk_size, size - begin)
                image[begin : begin + len(chunk.plain)] = chunk.plain
        front = b"drystone/image/1\0" + struct.pack("<QII", size, chunk_size, slots)
        assert head["root"] == self.h(front + b"".join(digests)).hex()
        assert head["chunks"] == present
        assert manifest.packs == [(pack, *used[pack], 0) for pack in sorted(used)]
        return bytes(image)


@dataclass(frozen=True)
class Manifest:
    """Segments: (digest, number, place of the pack, offset, length). Packs: (id, references, bytes, zero)."""

    head: dict[str, Any]
    segments: list[tuple[Any, ...]]
    packs: list[tuple[Any, ...]]


def parse_segment(
    data: bytes, number: int, slots: int, digest: bytes, h: Callable[[bytes], bytes]
) -> list[tuple[int, bytes, tuple[bytes, int, int]]]:
    """(slot, leaf, (pack, offset, length)) of every slot that is not zero."""
    its_number, s, n, k = struct.unpack_from("<IIII", data)
    assert (its_number, s) == (number, slots)
    width = -(-s // 8)
    assert len(data) == 16 + width + 32 * n + 12 * n + 16 * k
    bits = data[16 : 16 + width]
    marked = [slot for slot in range(8 * width) if bits[slot // 8] >> slot % 8 & 1]
    assert len(marked) == n >= 1
    assert marked[-1] < s
    at = 16 + width
    leaves = [data[at + 32 * each : at + 32 * each + 32] for each in range(n)]
    at += 32 * n
    places, offsets, lengths = (struct.unpack_from(f"<{n}I", data, at + 4 * n * column) for column in range(3))
    at += 12 * n
    packs = [data[at + 16 * each : at + 16 * each + 16] for each in range(k)]
    whole = [ZERO] * s
    for slot, leaf in zip(marked, leaves, strict=True):
        assert leaf != ZERO
        whole[slot] = leaf
    assert h(b"drystone/segment/1\0" + struct.pack("<I", s) + b"".join(whole)) == digest
    return [
        (slot, leaf, (packs[place], offset, length))
        for slot, leaf, place, offset, length in zip(marked, leaves, places, offsets, lengths, strict=True)
    ]


@pytest.fixture(params=VERSIONS)
def folder(request: pytest.FixtureRequest) -> Path:
    return FOLDER / str(request.param)


@pytest.fixture
def expected(folder: Path) -> Expected:
    found: Expected = json.loads(folder.with_suffix(".json").read_text())
    assert len(found) >= 4
    return found


def test_the_crc_is_the_one_of_the_rfc() -> None:
    assert crc32c(b"123456789") == 0xE3069283


def make_readers(folder: Path) -> list[Reader]:
    """A reader for each secret that opens the repository."""
    secrets = [PASSPHRASE, KEY_FILE] if folder.name.endswith("encrypted") else [b""]
    return [Reader(folder, secret) for secret in secrets]


def test_a_reader_of_the_document_restores_every_backup(folder: Path, expected: Expected) -> None:
    for reader in make_readers(folder):
        for backup, facts in expected.items():
            image = reader.restore(facts["volume"], backup)
            assert (len(image), hashlib.sha256(image).hexdigest()) == (facts["size"], facts["sha256"])


def test_every_pack_is_as_the_document_says(folder: Path) -> None:
    reader = make_readers(folder)[0]
    records = []
    for path in (folder / "drystone-backup" / "packs").glob("??/*"):
        assert path.name.startswith(path.parent.name)
        records += reader.check_pack(bytes.fromhex(path.name))
    seen = {(record.kind, record.codec) for record in records}
    segment = 2 if reader.version == 1 else 3
    assert {(1, 0), (1, 1), (segment, 0)} <= seen, "the golden repository holds what there is to read"


def test_every_index_is_as_the_document_says(folder: Path) -> None:
    reader = make_readers(folder)[0]
    if reader.version == 1:
        assert not (folder / "drystone-backup" / "index").exists()
        return
    assert sum(reader.check_index(name) for name in reader.state["indexes"]) >= 5
    assert reader.moved, "the golden repository holds what there is to read"


def test_an_encrypted_repository_shows_nothing_of_what_is_in_it() -> None:
    folder = FOLDER / "v2-encrypted" / "drystone-backup"
    stored = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    for text in (b"of words", b"golden repository", b"a byte", b"shared", b"chunk_size", PASSPHRASE):
        assert text not in stored


def test_the_engine_restores_and_verifies_every_backup(folder: Path, expected: Expected, tmp_path: Path) -> None:
    copy = tmp_path / "copy"  # reading announces itself in the store
    shutil.copytree(folder, copy)
    secrets: list[Credential | None] = [None]
    if folder.name.endswith("encrypted"):
        secrets = [Passphrase(PASSPHRASE), KeyFile(KEY_FILE)]
    for secret in secrets:
        repository = open_repository(FolderStore(copy), secret)
        assert {each.backup for each in repository.list()} == set(expected)
        for backup, facts in expected.items():
            repository.verify(facts["volume"], backup)
            repository.restore(facts["volume"], backup, str(tmp_path / backup), overwrite=True)
            assert hashlib.sha256((tmp_path / backup).read_bytes()).hexdigest() == facts["sha256"]


def test_version_1_is_not_written_to(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(FOLDER / "v1", copy)
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    repository = open_repository(FolderStore(copy))
    (first, *_) = repository.list()
    assert repository.inspect(first.volume, first.backup) == first
    with pytest.raises(UnsupportedError, match="can be read"):
        repository.create(MemorySource(b"x"), BackupRequest(first.volume, "s"))
    for action in (lambda: sweep(repository), lambda: repository.delete(first.volume, first.backup)):
        with pytest.raises(UnsupportedError):
            action()
    repository.verify(first.volume, first.backup)
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before
