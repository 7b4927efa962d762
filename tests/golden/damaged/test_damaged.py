"""The damaged images: as the script makes them, found by our check, and judged by the other tools as the page says."""

from __future__ import annotations

import importlib.util
import json
import lzma
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from drystone.formats.pdata.memory import MemoryBlocks
from drystone.testing.damage.table import KINDS, apply_damage, plan_damage
from drystone.testing.damage.verdict import judge, only_hides_room
from drystone.testing.peers import find_peer

FOLDER = Path(__file__).parent
DOCUMENT = json.loads((FOLDER / "damaged.json").read_text())
IMAGES = [case for case in DOCUMENT["cases"] if "file" in case]
IDS = [case["file"].removesuffix(".img.xz") for case in IMAGES]


@cache
def read_image(name: str) -> bytes:
    return lzma.decompress((FOLDER / name).read_bytes())


@cache
def load_make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("damaged_make", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_an_image_of_every_kind() -> None:
    assert {(case["target"], case["kind"]) for case in IMAGES} == {
        (target, name) for target, kinds in KINDS.items() for name in kinds
    }


@pytest.mark.parametrize("case", IMAGES, ids=IDS)
def test_it_is_made_as_told(case: dict[str, Any]) -> None:
    base = read_image(f"{case['base']}.img.xz")
    plan = plan_damage(case["target"], case["kind"], MemoryBlocks(base), seed=case["seed"], part=case["part"])
    assert load_make().describe(plan) == case["wrong"]
    assert apply_damage(plan, base) == read_image(case["file"])


@pytest.mark.parametrize("case", IMAGES, ids=IDS)
def test_our_check_finds_it_and_names_a_block(case: dict[str, Any]) -> None:
    base = read_image(f"{case['base']}.img.xz")
    plan = plan_damage(case["target"], case["kind"], MemoryBlocks(base), seed=case["seed"], part=case["part"])
    verdict = judge(case["target"], MemoryBlocks(read_image(case["file"])))
    assert verdict.sound == only_hides_room(plan)
    assert verdict.named & set(plan.named)


@pytest.mark.parametrize("line", ["0.9", "1.x"])
def test_other_tools_say_what_is_written(line: str) -> None:
    peer = find_peer("0.9" if line == "0.9" else "1.x")
    if peer is None or peer.version != DOCUMENT[line]:
        pytest.skip(f"thin-provisioning-tools {DOCUMENT[line]} is not here")
    wrong = []
    for case in IMAGES:
        if case[line] == "hangs":
            continue  # it would for ever; make.py waits for it
        said = load_make().ask_peers(case["target"], read_image(case["file"]), (line,))[line]
        if said != case[line]:
            wrong.append((case["file"], case[line], said))
    assert not wrong


def test_the_page_is_that_of_the_images() -> None:
    make = load_make()
    assert make.PAGE.read_text() == make.write_page(DOCUMENT["cases"], DOCUMENT["0.9"], DOCUMENT["1.x"])
