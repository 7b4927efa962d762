from __future__ import annotations

import os

import pytest

from drystone.kernel.release import ERA_KEEPS_WRITESETS, parse_release, running_release


@pytest.mark.parametrize(
    ("text", "wanted"), [("6.1.0-18-amd64", (6, 1)), ("5.9", (5, 9)), ("5.12-rc1", (5, 12)), ("what", (0, 0))]
)
def test_releases(text: str, wanted: tuple[int, int]) -> None:
    assert parse_release(text) == wanted
    assert (wanted >= ERA_KEEPS_WRITESETS) == (wanted in {(6, 1), (5, 12)})


def test_the_running_one() -> None:
    assert os.uname().release.startswith("{}.{}".format(*running_release()))
