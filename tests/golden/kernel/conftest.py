"""The golden images of this folder: what a real kernel wrote, and what is known of it (see make.py)."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from drystone.formats.pdata.memory import MemoryBlocks

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Golden:
    """One image. `truth`: by superblock (live, held, before), what make.py's guest said."""

    name: str
    data: bytes
    truth: dict[str, Any]
    dumped: bytes

    @property
    def reader(self) -> MemoryBlocks:
        return MemoryBlocks(self.data)


def load(name: str) -> Golden:
    """The image of that name."""
    return Golden(
        name,
        lzma.decompress((FOLDER / f"{name}.img.xz").read_bytes()),
        json.loads((FOLDER / f"{name}.json").read_text()),
        lzma.decompress((FOLDER / f"{name}.xml.xz").read_bytes()),
    )


def find_names(noun: str) -> list[str]:
    """The images of a kind."""
    return sorted(path.name.removesuffix(".img.xz") for path in FOLDER.glob(f"{noun}-*.img.xz"))


def expected_eras(truth: dict[str, Any]) -> NDArray[np.uint32]:
    """The last era of every block."""
    eras = np.zeros(truth["blocks"], dtype=np.uint32)
    for begin, length, era in truth["runs"]:
        eras[begin : begin + length] = era
    return eras


@pytest.fixture(params=find_names("era"))
def era_golden(request: pytest.FixtureRequest) -> Golden:
    return load(request.param)


@pytest.fixture(params=find_names("thin"))
def thin_golden(request: pytest.FixtureRequest) -> Golden:
    return load(request.param)
