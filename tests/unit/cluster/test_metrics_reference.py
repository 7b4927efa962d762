"""The reference of metrics names each metric that there is, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from drystone.cluster.agents.answers import Survey
from drystone.cluster.agents.metrics import describe_layers, describe_legs, describe_survey, describe_volumes
from drystone.cluster.api.metrics import Record, describe, describe_queue
from drystone.cluster.monitor.metrics import describe as describe_monitor
from drystone.cluster.monitor.tally import Tally
from drystone.cluster.queue.publishing import Counts
from drystone.cluster.state.overview import LegCounts

REFERENCE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "cluster-metrics.md"


def test_the_reference_names_each_metric() -> None:
    nothing = Survey({}, {}, ())
    metrics = [
        *describe(Record([], [], {}, {}, {}, LegCounts(0, 0, 0, 0), 0)),
        *describe_queue(Counts()),
        *(each for role in ("dpv", "ihost") for each in describe_survey(nothing, role)),
        *describe_volumes({}),
        *describe_legs([]),
        *describe_layers([], ()),
        *describe_monitor(Tally(), None),
    ]
    names = {f"{each.name}_total" if each.type == "counter" else each.name for each in metrics}
    rows = [line for line in REFERENCE.read_text().splitlines() if line.startswith("| `drystone_")]
    assert {name for row in rows for name in re.findall(r"`(drystone_\w+)`", row.split("|")[1])} == names
