"""The golden images of this folder: what LVM2 wrote, and what it and device-mapper say of it (see make.py)."""

from __future__ import annotations

import json
import lzma
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from drystone.testing.lvm2_metadata import MemoryDevice

FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Golden:
    """A group's devices, under the paths that they had, and LVM2's reports."""

    devices: tuple[MemoryDevice, ...]
    truth: dict[str, Any]


def load(name: str) -> Golden:
    """The images of that name."""
    truth = json.loads((FOLDER / f"{name}.json").read_text())
    images = [
        lzma.decompress((FOLDER / f"{name}.{number}.img.xz").read_bytes()) for number in range(len(truth["paths"]))
    ]
    return Golden(tuple(map(MemoryDevice, truth["paths"], images)), truth)


@pytest.fixture(scope="session")
def kinds() -> Golden:
    return load("kinds")


@pytest.fixture(scope="session")
def wrapped() -> Golden:
    return load("wrapped")


@pytest.fixture(scope="session")
def orphan() -> Golden:
    return load("orphan")
