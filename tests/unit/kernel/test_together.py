"""How long was waited: by clocks that measure processor time, and by those that count it in ticks. The rest of it is in
tests/unit/dvm/replication/test_together.py."""

from __future__ import annotations

import pytest

from drystone.kernel.together import tell_wait


@pytest.mark.parametrize(
    ("passed", "used", "waited"),
    [
        (0.008, 0.002, 0.006),
        (0.002, 0.0019, 0.0001),
        (0.002, 0.0, 0.0),
        (0.011, 0.0, 0.001),
        (0.025, 0.01, 0.015),
        (0.002, 0.01, 0.0),
    ],
)
def test_what_was_waited_at_least(passed: float, used: float, waited: float) -> None:
    assert tell_wait(passed, used) == pytest.approx(waited)
