"""The other reckoning of space maps: right for sound images, and for damage to counts it names the very blocks."""

from __future__ import annotations

import pytest

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.damage.examples import EXAMPLES, make_thin_example
from drystone.testing.damage.references import Which, count_references, list_miscounted, read_counts
from drystone.testing.damage.table import READERS, Target, apply_damage, plan_damage
from drystone.testing.thin_metadata import write_thin_metadata

TARGETS: tuple[Target, ...] = ("thin", "era")
WRONG = ["leaked", "free-in-use", "refcount"]
MANY = ["many-refcount", "many-small", "many-missing"]


def list_wrong(target: Target, data: bytes, which: Which) -> list[int]:
    return list_miscounted(READERS[target](MemoryBlocks(data)), which)


@pytest.mark.parametrize("target", TARGETS)
def test_sound_images_have_no_wrong_counts(target: Target) -> None:
    for make in EXAMPLES[target]:
        anatomy = READERS[target](MemoryBlocks(make()))
        for which in ("metadata", "data") if target == "thin" else ("metadata",):
            assert list_miscounted(anatomy, which) == []
            assert len(read_counts(anatomy, which)) > 10


def test_references_are_counted_by_hand() -> None:
    shared = {block: block for block in range(100)}
    image = write_thin_metadata({1: shared, 2: shared, 3: {0: 500, 1: 500}}, nr_data_blocks=1000)
    anatomy = READERS["thin"](MemoryBlocks(image))
    data = count_references(anatomy, "data")
    assert (data[0], data[99], data[500], data.get(501)) == (1, 1, 2, None)  # the shared leaf counts once
    roots = {site.block for site in anatomy.sites.values() if site.part == "mapping tree" and site.root}
    metadata = count_references(anatomy, "metadata")
    assert sorted(metadata[root] for root in roots) == [1, 2]
    assert metadata[0] == 1


@pytest.mark.parametrize("name", [f"{which}-{name}" for which in ("metadata", "data") for name in (*WRONG, *MANY)])
def test_wrong_counts_are_named(name: str) -> None:
    data = make_thin_example()
    which: Which = "metadata" if name.startswith("metadata") else "data"
    for seed in range(3):
        plan = plan_damage("thin", name, MemoryBlocks(data), seed=seed)
        right = [block for space, block in plan.named if space == which][:1]
        assert list_wrong("thin", apply_damage(plan, data), which) == right


@pytest.mark.parametrize("which", ["metadata", "data"])
def test_a_count_beyond_the_last_block_is_named(which: Which) -> None:
    data = make_thin_example()
    wrong = list_wrong("thin", apply_damage(plan_damage("thin", f"{which}-beyond", MemoryBlocks(data)), data), which)
    assert len(wrong) == 1
    assert wrong[0] >= (20_000 if which == "data" else len(data) // BLOCK)


@pytest.mark.parametrize("name", [f"metadata-{name}" for name in WRONG])
def test_wrong_counts_of_era_metadata_are_named(name: str) -> None:
    data = EXAMPLES["era"][0]()
    plan = plan_damage("era", name, MemoryBlocks(data), seed=1)
    assert [("metadata", block) for block in list_wrong("era", apply_damage(plan, data), "metadata")] == list(
        plan.named
    )
