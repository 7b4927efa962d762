"""Torrents as values: the hashes are those that libtorrent makes of the same bytes, and what does not agree is told."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from drystone.base.errors import MismatchError
from drystone.fleet.disk.sums import PIECE
from drystone.fleet.storage.torrents.metainfo import Hashing, Metainfo, is_urn
from drystone.testing.fleet.bodies import make_bytes

libtorrent = pytest.importorskip("libtorrent", reason="libtorrent has no wheel for this Python")
BLOCK = 16 << 10


def make(data: bytes) -> Metainfo:
    hashing = Hashing(len(data))
    for begin in range(0, len(data), PIECE):
        hashing.add(data[begin : begin + PIECE])
    return hashing.finish()


@pytest.mark.parametrize(
    "size", [1, BLOCK, BLOCK + 1, 3 * BLOCK, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 5 * PIECE + 12345]
)
def test_it_is_the_torrent_that_libtorrent_makes(tmp_path: Path, size: int) -> None:
    data = make_bytes(size)
    (tmp_path / "object").write_bytes(data)
    files = libtorrent.list_files(str(tmp_path / "object"))
    made = libtorrent.create_torrent(files, PIECE, libtorrent.create_torrent.v2_only)
    libtorrent.set_piece_hashes(made, str(tmp_path))
    theirs = made.generate()
    ours = make(data)
    entry = theirs[b"info"][b"file tree"][b"object"][b""]
    assert (entry[b"length"], entry[b"pieces root"]) == (size, ours.root)
    assert theirs.get(b"piece layers", {}).get(ours.root, b"") == ours.layer
    ours.check()


@pytest.mark.parametrize("size", [1, PIECE, 3 * PIECE + 5])
def test_libtorrent_takes_it_by_its_name(size: int) -> None:
    made = make(make_bytes(size))
    loaded = libtorrent.load_torrent_buffer(made.encode())
    assert loaded.ti is not None
    assert loaded.ti.info_hashes().v2.to_bytes().hex() == made.urn.removeprefix("urn:btmh:1220")
    assert not loaded.ti.info_hashes().has_v1()
    assert (loaded.trackers, loaded.dht_nodes, loaded.url_seeds, loaded.http_seeds) == ([], [], [], [])


def test_equal_bytes_have_equal_names_and_others_have_not() -> None:
    data = make_bytes(2 * PIECE)
    assert make(data).urn == make(data).urn
    assert is_urn(make(data).urn)
    assert make(data).urn != make(data[:-1]).urn
    assert not is_urn("urn:btmh:1220abc")


@pytest.mark.parametrize(
    "change",
    [
        {"size": 0},
        {"size": -1},
        {"size": PIECE},
        {"size": 5 * PIECE},
        {"root": b""},
        {"root": bytes(32)},
        {"layer": b""},
        {"layer": bytes(96)},
        {"layer": bytes(97)},
    ],
)
def test_hashes_that_do_not_agree_are_told(change: dict[str, object]) -> None:
    made = make(make_bytes(2 * PIECE + 5))
    with pytest.raises(MismatchError, match="hashes"):
        msgspec.structs.replace(made, **change).check()
