"""A cell of the fault matrix on guests of the lab; `scripts/cluster_matrix.py` goes through all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.lab.lab import Lab
from drystone.testing.cluster.matrix import parse, run


@pytest.mark.usefixtures("driver")
def test_an_ihost_loses_its_power_while_it_puts_a_volume_together(tmp_path: Path) -> None:
    told: list[str] = []
    # Two dpvs: the operation needs no third one to go to.
    with Lab(4, memory=512 << 20, disks=[256 << 20], folders=[tmp_path]) as lab:
        outcomes = run(tmp_path, lab.guests, [parse("attach/ihost-kernel/1")], told.append)
    assert [each.wrong for each in outcomes] == [[]], "\n".join(told)
    assert outcomes[0].writes > 20
