"""The golden images: what the kernel wrote, and what Debian's thin_dump and thin_delta read out of it (see make.py)."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drystone.formats.pdata.memory import MemoryBlocks
from drystone.formats.thin.superblock import Superblock, read_held_superblock, read_superblock

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Golden:
    """One image, read from its live or its held superblock, and what is expected of that."""

    reader: MemoryBlocks
    superblock: Superblock
    expected: dict[str, Any]


@pytest.fixture(params=["snapshots live", "held live", "held held"])
def golden(request: pytest.FixtureRequest) -> Golden:
    name, which = request.param.split()
    reader = MemoryBlocks(lzma.decompress((FOLDER / f"{name}.img.xz").read_bytes()))
    superblock = read_superblock(reader) if which == "live" else read_held_superblock(reader)
    return Golden(reader, superblock, json.loads((FOLDER / f"{name}.json").read_text())[which])
