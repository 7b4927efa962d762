"""What our readers make of metadata that a real kernel wrote: the truth, no damage, and the text of Debian's tools."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from drystone.cli.era import era
from drystone.cli.exits import run
from drystone.cli.thin import thin
from drystone.formats.era.eras import iter_changed, iter_eras
from drystone.formats.era.superblock import read_held_superblock, read_superblock
from drystone.formats.era.writesets import read_writesets
from drystone.formats.thin import superblock as thin_superblock
from drystone.formats.thin.devices import read_devices
from drystone.formats.thin.extents import join_ranges, merge_blocks
from drystone.formats.thin.mappings import iter_mappings
from drystone.testing.damage.references import list_miscounted, read_counts
from drystone.testing.damage.table import READERS, Target

from .conftest import expected_eras, find_names

if TYPE_CHECKING:
    from .conftest import Golden

TARGETS: tuple[Target, ...] = ("thin", "era")


def test_the_images_are_there() -> None:
    assert find_names("era") == ["era-cut", "era-held", "era-idle", "era-resized", "era-undigested"]
    assert find_names("thin") == ["thin-cut", "thin-many", "thin-reserved"]


def test_last_eras(era_golden: Golden) -> None:
    for which, truth in era_golden.truth.items():
        superblock = (read_superblock if which == "live" else read_held_superblock)(era_golden.reader)
        eras = np.concatenate([batch.eras for batch in iter_eras(era_golden.reader, superblock)])
        wanted = expected_eras(truth)
        assert np.array_equal(eras, wanted), which
        for since in sorted({int(each) for each in wanted if each}):
            found = [row for batch in iter_changed(era_golden.reader, superblock, since) for row in batch.tolist()]
            blocks = [block for begin, length in found for block in range(begin, begin + length)]
            assert blocks == np.flatnonzero(wanted >= since).tolist()


def test_the_images_are_what_they_are_called(era_golden: Golden) -> None:
    superblock = read_superblock(era_golden.reader)
    archived = [each for each in read_writesets(era_golden.reader, superblock) if each.root != superblock.current_root]
    assert bool(superblock.current_root) == (era_golden.name in {"era-cut", "era-undigested"})
    assert bool(superblock.metadata_snap) == (era_golden.name == "era-held")
    if era_golden.name == "era-undigested":
        assert len(archived) > 1
    elif not superblock.current_root:
        assert len(archived) >= 1


def run_tool(noun: str, *words: str) -> int:
    return run(era if noun == "era" else thin, words)


@pytest.mark.parametrize("name", [*find_names("era"), *find_names("thin")])
def test_they_are_sound(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from .conftest import load

    golden = load(name)
    noun = name.partition("-")[0]
    path = tmp_path / "image"
    path.write_bytes(golden.data)
    assert run_tool(noun, "check", str(path)) == 0, capsys.readouterr().err
    if "held" in golden.truth:
        assert run_tool(noun, "check", "-m", str(path)) == 0, capsys.readouterr().err


@pytest.mark.parametrize("target", TARGETS)
def test_the_kernel_counts_as_the_tests_reckon(target: Target) -> None:
    """By `testing.damage`, which shares no code with the check: of every block, also after a power cut."""
    from .conftest import load

    for name in find_names(target):
        anatomy = READERS[target](load(name).reader)
        for which in ("metadata", "data") if target == "thin" else ("metadata",):
            assert read_counts(anatomy, which)
            assert list_miscounted(anatomy, which) == [], f"{name}: {which}"


def without_the_current_writeset(text: bytes, golden: Golden) -> bytes:
    """0.9 leaves out what the current era wrote before the crash. We do not: that is the difference, and all of it."""
    era = read_superblock(golden.reader).current_era
    before, found, rest = text.partition(b'  <writeset era="%d" ' % era)
    _, end, after = rest.partition(b"  </writeset>\n")
    assert found
    assert end
    return before + after


@pytest.mark.parametrize("name", [*find_names("era"), *find_names("thin")])
def test_the_dump_is_that_of_debians_tool(name: str, tmp_path: Path) -> None:
    from .conftest import load

    golden = load(name)
    noun = name.partition("-")[0]
    path, out = tmp_path / "image", tmp_path / "out"
    path.write_bytes(golden.data)
    assert run_tool(noun, "dump", str(path), "--compat", "0.9", "-o", str(out)) == 0
    if name in {"era-cut", "era-undigested"}:
        out.write_bytes(without_the_current_writeset(out.read_bytes(), golden))
    if out.read_bytes() != golden.dumped:
        other = tmp_path / "debian"
        other.write_bytes(golden.dumped)
        shown = subprocess.run(["diff", str(other), str(out)], check=False, capture_output=True, text=True).stdout
        pytest.fail(shown[:2000])


def test_mappings(thin_golden: Golden) -> None:
    for which, truth in thin_golden.truth.items():
        read = thin_superblock.read_held_superblock if which == "held" else thin_superblock.read_superblock
        superblock = read(thin_golden.reader)
        devices = read_devices(thin_golden.reader, superblock)
        if which == "before":
            assert set(map(int, truth)) <= set(devices)
        else:
            assert sorted(map(int, truth)) == list(devices)
        for dev_id, ranges in truth.items():
            batches = iter_mappings(thin_golden.reader, superblock, int(dev_id))
            found = join_ranges(merge_blocks(batch.virtual) for batch in batches)
            assert [row for rows in found for row in rows.tolist()] == ranges
            assert devices[int(dev_id)].mapped_blocks == sum(length for _, length in ranges)
