from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import KernelError, NotFoundError, UsageError
from drystone.dvm.replication.regions import Region, open_regions, parse_regions


def test_regions_are_read_from_json() -> None:
    assert parse_regions(b'[{"path": "/dev/sda", "begin": 1, "end": 257}]') == (Region("/dev/sda", 1, 257),)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[]", "there is none"),
        ("{}", "array"),
        ('[{"path": "a", "begin": 1}]', "end"),
        ('[{"path": "a", "begin": 1, "end": 2, "size": 3}]', "size"),
        ('[{"path": "", "begin": 1, "end": 2}]', "no path"),
        ('[{"path": "a", "begin": 2, "end": 2}]', "no pages"),
        ('[{"path": "a", "begin": -1, "end": 2}]', "no pages"),
        ('[{"path": "a", "begin": 1, "end": 9}, {"path": "a", "begin": 8, "end": 12}]', "overlap"),
        ('[{"path": "a", "begin": 1, "end": 9}, {"path": "a", "begin": 1, "end": 9}]', "overlap"),
        ('[{"path": "a", "begin": 1, "end": 90}, {"path": "a", "begin": 80, "end": 82}]', "overlap"),
    ],
)
def test_regions_that_cannot_be_are_refused(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        parse_regions(text)


def test_neighbours_on_one_device_do_not_overlap(tmp_path: Path) -> None:
    path = make(tmp_path, "a", 20)
    with open_regions([Region(path, 0, 8), Region(path, 8, 16)], write=True) as (first, second):
        first.write(7, b"a" * 4096)
        second.write(0, b"b" * 4096)
        first.flush()
        assert second.read(0, 1) == b"b" * 4096
    assert Path(path).read_bytes()[7 * 4096 : 9 * 4096] == b"a" * 4096 + b"b" * 4096


def test_overlaps_by_two_paths_of_one_file_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path, "a", 20)
    link = tmp_path / "link"
    link.symlink_to(path)
    hard = tmp_path / "hard"
    hard.hardlink_to(path)
    for other in (str(link), str(hard)):
        with pytest.raises(UsageError, match="overlap"), open_regions([Region(path, 0, 9), Region(other, 8, 16)]):
            pass


def test_a_region_is_within_its_file(tmp_path: Path) -> None:
    path = make(tmp_path, "a", 20)
    with (
        pytest.raises(UsageError, match="ends behind its device, which has 20 pages"),
        open_regions([Region(path, 1, 21)]),
    ):
        pass
    with open_regions([Region(path, 4, 12)], write=True) as (region,):
        for page, count in ((-1, 1), (8, 1), (7, 2), (0, 0)):
            with pytest.raises(UsageError, match="are not within"):
                region.read(page, count)
        with pytest.raises(UsageError, match="are not within"):
            region.write(7, bytes(2 * 4096))


def test_a_missing_device_is_told_at_once_or_at_each_call(tmp_path: Path) -> None:
    path = make(tmp_path, "a", 20)
    regions = [Region(path, 0, 8), Region(str(tmp_path / "gone"), 0, 8)]
    with pytest.raises(NotFoundError), open_regions(regions):
        pass
    with open_regions(regions, tolerant=True) as (there, gone):
        assert there.read(0, 1) == bytes(4096)
        assert gone.name.endswith("gone[0:8]")
        for call in (lambda: gone.read(0, 1), lambda: gone.write(0, bytes(4096)), gone.flush):
            with pytest.raises(NotFoundError):
                call()


def test_a_file_that_ends_within_a_page_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "odd"
    path.write_bytes(bytes(8 * 4096 + 100))
    with open_regions([Region(str(path), 0, 8)], write=True) as (region,):
        region.write(7, b"x" * 4096)
        region.flush()
    assert path.read_bytes()[7 * 4096 :] == b"x" * 4096 + bytes(100)


def test_what_was_opened_for_reading_is_not_written(tmp_path: Path) -> None:
    with open_regions([Region(make(tmp_path, "a", 8), 0, 8)]) as (region,), pytest.raises(KernelError, match="write"):
        region.write(0, bytes(4096))


def make(folder: Path, name: str, pages: int) -> str:
    path = folder / name
    path.write_bytes(bytes(pages * 4096))
    return str(path)
