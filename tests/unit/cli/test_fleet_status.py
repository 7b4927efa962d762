"""What `drystone fleet status` prints of a fleet; with real servers: tests/system/fleet."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from drystone.cli.fleet.status import print_status
from drystone.fleet.mapping.epochs import SHORT, SPENT
from drystone.fleet.mapping.status import fleet_status
from drystone.testing.fleet.sketch import Sketch, copy_on


@pytest.mark.parametrize(
    ("epoch", "told"),
    [
        (SHORT - 1, []),
        (SHORT, [f"few epochs are left of ns/h: epoch {SHORT} of 8388607; from {SPENT} on it is changed no more"]),
        (SPENT, [f"few epochs are left of ns/h: epoch {SPENT} of 8388607; it is changed no more"]),
    ],
)
def test_hosts_that_have_few_epochs_left(epoch: int, told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    sketch = Sketch()
    sketch.place("h", copy_on("s1/1"), copy_on("s2/1"), epoch=epoch)
    print_status(fleet_status(sketch.view(), [], datetime.fromtimestamp(100, UTC)))
    lines = capsys.readouterr().out.splitlines()
    assert [each for each in lines if "epochs" in each] == told
    assert any(each.startswith("ns") and "protected" in each for each in lines)
