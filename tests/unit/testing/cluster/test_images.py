"""A volume out of the bytes of its legs, and what is found wrong with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from drystone.cluster.model.dlv import Dlv, Group, Leg
from drystone.testing.cluster.images import FILE, find_unsound, join_legs, read_file, thin_volume
from drystone.testing.thin_metadata import write_thin_metadata

WIDTH = 64 << 10


def make_dlv() -> Dlv:
    groups = (
        Group(number=0, role="metadata", stripes=1, extents=1),
        Group(number=1, role="data", stripes=1, extents=1),
        Group(number=2, role="data", stripes=1, extents=1),
    )
    legs = tuple(
        Leg(id=f"{group.number}{place}", group=group.number, stripe=0, place=place, dpv=f"d{place}", extents=1)
        for group in groups
        for place in range(2)
    )
    return Dlv(
        id="1", name="db", dvg="g", size=3 * WIDTH, initial_size=1, mirrors=2, stripes=1, chunk=128, block=128,
        groups=groups, legs=legs,
    )  # fmt: skip


def test_legs_of_one_place_are_joined() -> None:
    read = dict.fromkeys("", b"") | {leg.id: leg.id.encode() for leg in make_dlv().legs}
    assert join_legs(make_dlv(), read.__getitem__, 0, "data") == b"1020"
    assert join_legs(make_dlv(), read.__getitem__, 1, "metadata") == b"01"


def test_a_thin_volume_has_what_is_mapped(tmp_path: Path) -> None:
    metadata = write_thin_metadata({0: {0: 3, 2: 1}, 7: {1: 2}}, nr_data_blocks=4)
    data = b"".join(bytes([each]) * WIDTH for each in range(4))
    assert find_unsound(metadata, tmp_path / "image") == []
    assert thin_volume(metadata, data, 0, 3 * WIDTH) == b"\3" * WIDTH + bytes(WIDTH) + b"\1" * WIDTH
    assert thin_volume(metadata, data, 7, 2 * WIDTH - 1) == bytes(WIDTH) + b"\2" * (WIDTH - 1)


def test_damaged_metadata_is_found(tmp_path: Path) -> None:
    metadata = bytearray(write_thin_metadata({0: {0: 3}}, nr_data_blocks=4))
    metadata[4096 + 100] ^= 1
    found = find_unsound(bytes(metadata), tmp_path / "image")
    assert found[0].startswith("metadata: ")
    assert not (tmp_path / "image").exists()


def test_a_file_is_read_out_of_a_file_system_and_damage_of_that_is_told(tmp_path: Path) -> None:
    source, image = tmp_path / "source", tmp_path / "image"
    source.mkdir()
    (source / FILE).write_bytes(b"numbers" * 1000)
    with image.open("wb") as made:
        made.truncate(8 << 20)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-d", str(source), str(image)], check=True)
    volume = bytearray(image.read_bytes())
    content, wrong = read_file(bytes(volume), tmp_path / "read", clean=True)
    assert (content.tobytes(), wrong) == (b"numbers" * 1000, [])
    assert not (tmp_path / "read").exists()
    volume[1024 + 12] ^= 0xFF  # of its superblock: how many blocks are free
    _, wrong = read_file(bytes(volume), tmp_path / "read", clean=True)
    assert wrong[0].startswith("e2fsck -fn: ")
