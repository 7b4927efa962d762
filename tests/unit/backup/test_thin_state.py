"""When a delta of two thin devices can be relied on, and when everything that is mapped must be read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drystone.backup.thin_state import ThinState, describe_state, find_doubt, from_about
from drystone.base.errors import DamagedError
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.devices import read_devices
from drystone.formats.thin.superblock import read_superblock
from drystone.testing.thin_metadata import BlockMap, Details, write_thin_metadata

SIZE = 100 << 16
BASE_MAP: BlockMap = {0: (10, 1), 1: (11, 2), 5: (12, 3)}
"""Of a snapshot that was taken when the pool's time became 4."""


def doubt(
    base_map: BlockMap = BASE_MAP, base_details: Details = (7, 4, 4), *, time: int = 6, old: ThinState | None = None,
    **changes: object,
) -> str:  # fmt: skip
    """Of a delta of device 2 against device 1, when the last backup was made of device 1 as `BASE_MAP` has it."""
    image = MemoryBlocks(
        write_thin_metadata(
            {1: base_map, 2: {0: (10, 1), 9: (14, 5)}},
            details={1: base_details, 2: (8, 5, 5)},
            time=time,
            nr_data_blocks=100,
        )
    )
    superblock = read_superblock(image)
    devices = read_devices(image, superblock)
    new = describe_state("pool", SIZE, superblock, devices[2])
    was = ThinState("pool", 1, created=4, transaction=7, mapped=3, block_size=65536, size=SIZE)
    return find_doubt(image, superblock, devices, replace(was, **changes), new)  # type: ignore[arg-type]


def test_a_snapshot_that_nobody_wrote_to_can_be_relied_on() -> None:
    assert doubt() == ""


def test_a_write_shows_in_a_mappings_time() -> None:
    for time in (4, 5, 6):
        assert "was written to" in doubt({0: (10, 1), 1: (11, 2), 5: (20, time)})


def test_a_discard_shows_in_their_number() -> None:
    assert "was written to" in doubt({0: (10, 1), 1: (11, 2)})


def test_a_volume_that_is_no_snapshot_is_never_relied_on() -> None:
    assert "was written to" in doubt({0: (10, 0), 1: (11, 1), 5: (12, 1)}, (7, 0, 3), created=0)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"pool": "other"}, "another pool, other"),
        ({"size": SIZE + 65536}, "resized"),
        ({"block_size": 131072}, "had 131072 bytes"),
        ({"device": 3}, "thin device 3, which the last backup was made of, is gone"),
        ({"created": 3}, "another one has its id"),
        ({"transaction": 6}, "another one has its id"),
        ({"mapped": 4}, "was written to"),
    ],
)
def test_what_is_not_as_it_was(changes: dict[str, object], why: str) -> None:
    assert why in doubt(**changes)  # type: ignore[arg-type]


def test_a_pool_whose_time_has_outgrown_its_mappings() -> None:
    assert "more snapshots than" in doubt(time=1 << 24)


def test_a_state_goes_through_a_manifest() -> None:
    state = ThinState("LVM-abc-tpool", 5, 1, 2, 3, 65536, SIZE)
    about = state.to_about()
    assert from_about({**about, "other": "fact"}) == state
    assert from_about({}) is None
    for key in ("thin.device", "thin.mapped"):
        with pytest.raises(DamagedError):
            from_about({**about, key: "x"})
        with pytest.raises(DamagedError):
            from_about({name: value for name, value in about.items() if name != key})
