"""The golden repository, read by a reader that follows docs/reference/backup-format.md and knows nothing of ours.

Nothing of `drystone` is used by the reader: where it and the engine differ, the document or the engine has a defect.
The engine reads the same repository at the end: a backup that was ever made stays readable.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import zstandard
from blake3 import blake3

from drystone.backup.repository import open_repository
from drystone.store.folder import FolderStore

FOLDER = Path(__file__).parent
VERSIONS = ["v1"]
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


class Reader:
    """A repository in a folder, read by the document."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "drystone-backup"
        document = json.loads((self.root / "repository").read_text())
        assert (document["format"], document["version"]) == ("drystone-backup", 1)
        assert (document["hash"], document["encryption"]) == ("blake3", "none")

    def pack_path(self, pack: bytes) -> Path:
        return self.root / "packs" / pack.hex()[:2] / pack.hex()

    def record(self, pack: bytes, offset: int, length: int) -> Record:
        """The record there, checked."""
        data = self.pack_path(pack).read_bytes()[offset : offset + length]
        assert len(data) == length
        crc, payload_length, plain_length, kind, codec, zero = struct.unpack_from("<IIIBBH", data)
        digest, payload = data[16:48], data[48:]
        assert crc == crc32c(data[4:])
        assert len(payload) == payload_length <= plain_length
        assert 1 <= plain_length <= 16 << 20
        assert kind in {1, 2}
        assert zero == 0
        assert codec in {0, 1}
        plain = zstandard.ZstdDecompressor().decompress(payload, max_output_size=plain_length) if codec else payload
        assert len(plain) == plain_length
        assert blake3(plain).digest() == digest
        return Record(kind, codec, digest, plain)

    def check_pack(self, pack: bytes) -> list[Record]:
        """All records of a pack, one after the other, compared with the index."""
        data = self.pack_path(pack).read_bytes()
        assert len(data) <= 1 << 30
        assert data[:8] == b"DRYPACK\n"
        assert struct.unpack_from("<II", data, 8) == (1, 0)
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
        data = (self.root / "volumes" / volume / "backups" / backup).read_bytes()
        assert data[-32:] == blake3(data[:-32]).digest()
        assert data[:8] == b"DRYMANI\n"
        version, h, m, p = struct.unpack_from("<IIII", data, 8)
        assert version == 1
        assert len(data) == 24 + h + 48 * m + 40 * p + 32
        head = json.loads(data[24 : 24 + h])
        assert (head["volume"], head["backup"]) == (volume, backup)
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
            record = self.record(pack, offset, length)
            assert record.kind == 2
            digests[number] = digest
            own_slots = min(slots, chunks - number * slots)
            for slot, leaf, place in parse_segment(record.plain, number, own_slots, digest):
                used[place[0]][0] += 1
                used[place[0]][1] += place[2]
                present += 1
                chunk = self.record(*place)
                assert (chunk.kind, chunk.digest) == (1, leaf)
                begin = (number * slots + slot) * chunk_size
                assert len(chunk.plain) == min(chunk_size, size - begin)
                image[begin : begin + len(chunk.plain)] = chunk.plain
        front = b"drystone/image/1\0" + struct.pack("<QII", size, chunk_size, slots)
        assert head["root"] == blake3(front + b"".join(digests)).hexdigest()
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
    data: bytes, number: int, slots: int, digest: bytes
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
    assert blake3(b"drystone/segment/1\0" + struct.pack("<I", s) + b"".join(whole)).digest() == digest
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


def test_a_reader_of_the_document_restores_every_backup(folder: Path, expected: Expected) -> None:
    reader = Reader(folder)
    for backup, facts in expected.items():
        image = reader.restore(facts["volume"], backup)
        assert (len(image), hashlib.sha256(image).hexdigest()) == (facts["size"], facts["sha256"])


def test_every_pack_is_as_the_document_says(folder: Path) -> None:
    reader = Reader(folder)
    records = []
    for path in (folder / "drystone-backup" / "packs").glob("??/*"):
        assert path.name.startswith(path.parent.name)
        records += reader.check_pack(bytes.fromhex(path.name))
    seen = {(record.kind, record.codec) for record in records}
    assert {(1, 0), (1, 1), (2, 0)} <= seen, "the golden repository holds what there is to read"


def test_the_engine_restores_and_verifies_every_backup(folder: Path, expected: Expected, tmp_path: Path) -> None:
    repository = open_repository(FolderStore(folder))
    assert {each.backup for each in repository.list()} == set(expected)
    for backup, facts in expected.items():
        repository.verify(facts["volume"], backup)
        repository.restore(facts["volume"], backup, str(tmp_path / backup))
        assert hashlib.sha256((tmp_path / backup).read_bytes()).hexdigest() == facts["sha256"]
