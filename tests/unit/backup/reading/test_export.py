"""Exports: the image as a stream, as a sparse file, as qcow2 (read back by a reader that follows its document)."""

from __future__ import annotations

import errno
import os
import random
import resource
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drystone.backup.pipeline import silent
from drystone.backup.reading import qcow2
from drystone.backup.reading.export import export_qcow2, export_raw, export_stream
from drystone.backup.tuning import Tuning
from drystone.base.errors import DamagedError, ExistsError, KernelError, NotFoundError, UsageError

TUNING = Tuning(threads=2)
CLUSTER = 65536


class MemoryImage:
    """An image out of memory, in chunks of a cluster."""

    def __init__(self, data: bytes, damaged: int = -1) -> None:
        self.data = data
        self.damaged = damaged

    @property
    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        if offset <= self.damaged < offset + length:
            raise DamagedError("wrong", offset=self.damaged)
        return self.data[offset : offset + length]

    def extents(self, offset: int, length: int) -> Iterator[tuple[int, int]]:
        found = []
        for at in range(offset, offset + length, CLUSTER):
            piece = self.data[at : min(at + CLUSTER, offset + length)]
            if piece.strip(b"\0"):
                found.append((at, len(piece)))
        return iter(found)


def make(kinds: str, rest: int = 0) -> bytes:
    """r a random cluster, t one of text, . zeros, h half of one."""
    rng = random.Random(kinds)
    parts = {
        "r": lambda: rng.randbytes(CLUSTER),
        "t": lambda: b"text and more " * 4681 + b"......",
        ".": lambda: bytes(CLUSTER),
    }
    parts["h"] = lambda: bytes(CLUSTER // 2) + rng.randbytes(CLUSTER // 2)
    return b"".join(parts[each]() for each in kinds) + rng.randbytes(rest)


def read_qcow2(data: bytes) -> tuple[int, dict[int, bytes]]:
    """The size, and the clusters that are in the file by number. Checks every reference count."""
    (magic, version, backing, _, bits, size, crypt, l1_size, l1_at, refs_at, refs_clusters, snapshots, _) = (
        struct.unpack_from(">4sIQIIQIIQQIIQ", data)
    )
    incompatible, _, _, order, header = struct.unpack_from(">QQQII", data, 72)
    assert (magic, version, backing, bits, crypt, snapshots, incompatible, order) == (b"QFI\xfb", 3, 0, 16, 0, 0, 0, 4)
    assert header == 104
    assert len(data) % CLUSTER == 0
    assert data[104:112] == bytes(8)  # the end of header extensions
    counts = [0] * (len(data) // CLUSTER)

    def use(offset: int, length: int = CLUSTER) -> None:
        for each in range(offset // CLUSTER, (offset + length - 1) // CLUSTER + 1):
            counts[each] += 1

    use(0)
    use(l1_at, max(l1_size * 8, 1))
    use(refs_at, refs_clusters * CLUSTER)
    found: dict[int, bytes] = {}
    for high, entry in enumerate(struct.unpack_from(f">{l1_size}Q", data, l1_at)):
        if not entry:
            continue
        assert entry >> 63
        table = entry & ~(1 << 63)
        use(table)
        for low, place in enumerate(struct.unpack_from(">8192Q", data, table)):
            if not place:
                continue
            number = high * 8192 + low
            if place >> 62 & 1:
                offset = place & (1 << 54) - 1
                length = ((place >> 54 & 0xFF) + 1) * 512 - offset % 512
                use(offset, length)
                plain = zlib.decompressobj(-12).decompress(data[offset : offset + length], CLUSTER)
            else:
                assert place >> 63
                use(place & ~(1 << 63))
                plain = data[place & ~(1 << 63) :][:CLUSTER]
            assert len(plain) == CLUSTER
            end = min(size, (number + 1) * CLUSTER)
            assert not plain[end - number * CLUSTER :].strip(b"\0")
            found[number] = plain[: end - number * CLUSTER]
    blocks = [each for each in struct.unpack_from(f">{refs_clusters * 8192}Q", data, refs_at) if each]
    for each in blocks:
        use(each)
    told = [count for each in blocks for count in struct.unpack_from(">32768H", data, each)]
    assert told[: len(counts)] == counts
    assert not any(told[len(counts) :])
    return size, found


def flatten(size: int, clusters: dict[int, bytes]) -> bytes:
    image = bytearray(size)
    for number, plain in clusters.items():
        image[number * CLUSTER : number * CLUSTER + len(plain)] = plain
    return bytes(image)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text("rt.h", max_size=12), st.sampled_from([0, 1, 512, 40000]), st.booleans())
def test_qcow2_holds_the_image_and_no_zeros(tmp_path: Path, kinds: str, rest: int, compress: bool) -> None:
    data = make(kinds, rest)
    path = tmp_path / "image.qcow2"
    export_qcow2(MemoryImage(data), str(path), compress=compress, overwrite=True, tuning=TUNING, progress=silent)
    size, found = read_qcow2(path.read_bytes())
    assert size == -(-len(data) // 512) * 512
    assert flatten(size, found) == data.ljust(size, b"\0")
    assert set(found) == {at for at in range(-(-len(data) // CLUSTER)) if data[at * CLUSTER :][:CLUSTER].strip(b"\0")}


def test_compressed_clusters_share_clusters_of_the_file(tmp_path: Path) -> None:
    data = make("t" * 40)
    export_qcow2(MemoryImage(data), str(tmp_path / "q"), compress=True, overwrite=False, tuning=TUNING, progress=silent)
    assert (tmp_path / "q").stat().st_size < 10 * CLUSTER
    assert flatten(*read_qcow2((tmp_path / "q").read_bytes()))[: len(data)] == data


def test_the_table_of_each_512_mib_stands_by_itself() -> None:
    written: dict[int, bytes] = {}
    writer = qcow2.Qcow2Writer(2 << 30, lambda offset, data: written.__setitem__(offset, bytes(data)))
    cluster = make("r")
    numbers = (0, 8191, 8192, 3 * 8192 + 5)
    for number in numbers:
        writer.add(number, memoryview(cluster))
    writer.finish()
    data = bytearray(max(offset + len(each) for offset, each in written.items()))
    for offset, each in written.items():
        data[offset : offset + len(each)] = each
    assert read_qcow2(bytes(data)) == (2 << 30, dict.fromkeys(numbers, cluster))


def test_an_image_that_is_too_large_is_refused() -> None:
    with pytest.raises(UsageError, match="too large"):
        qcow2.Qcow2Writer(qcow2.LARGEST + 1, lambda _offset, _data: None)


@pytest.mark.parametrize("data", [b"", make("r"), make(".r..t", 700), make("....")])
def test_a_stream_is_the_image(data: bytes, tmp_path: Path) -> None:
    pieces: list[bytes] = []
    reports: list[tuple[int, int]] = []
    export_stream(
        MemoryImage(data), lambda each: pieces.append(bytes(each)), tuning=TUNING,
        progress=lambda *each: reports.append(each),
    )  # fmt: skip
    assert b"".join(pieces) == data
    assert reports[-1] == (len(data), len(data))
    export_raw(MemoryImage(data), str(tmp_path / "raw"), overwrite=False, tuning=TUNING, progress=silent)
    assert (tmp_path / "raw").read_bytes() == data


def test_damage_leaves_no_file(tmp_path: Path) -> None:
    image = MemoryImage(make("rrrr"), damaged=2 * CLUSTER)
    with pytest.raises(DamagedError):
        export_raw(image, str(tmp_path / "raw"), overwrite=False, tuning=TUNING, progress=silent)
    for compress in (False, True):
        with pytest.raises(DamagedError):
            export_qcow2(image, str(tmp_path / "q"), compress=compress, overwrite=False, tuning=TUNING, progress=silent)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_told_and_leaves_no_file(tmp_path: Path) -> None:
    image = MemoryImage(make("r" * 64))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, limits[1]))
    try:
        with pytest.raises(KernelError) as caught:
            export_qcow2(image, str(tmp_path / "q"), compress=False, overwrite=False, tuning=TUNING, progress=silent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "q").write_text("kept")
    with pytest.raises(ExistsError):
        export_qcow2(
            MemoryImage(b""), str(tmp_path / "q"), compress=False, overwrite=False, tuning=TUNING, progress=silent
        )
    assert (tmp_path / "q").read_text() == "kept"


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_what_is_no_plain_file_is_not_replaced(kind: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    paths = [str(tmp_path / "fifo"), str(tmp_path), ".", "", f"{tmp_path}/none/"]
    export = export_raw if kind == "raw" else partial(export_qcow2, compress=False)
    for path in paths:
        with pytest.raises(UsageError):
            export(MemoryImage(b"x"), path, overwrite=True, tuning=TUNING, progress=silent)
    assert (tmp_path / "fifo").is_fifo()
    with pytest.raises(NotFoundError, match="no device"):
        export_raw(MemoryImage(b"x"), "/dev/no-such-disk", overwrite=True, tuning=TUNING, progress=silent)
