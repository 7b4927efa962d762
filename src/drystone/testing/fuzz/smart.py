"""Documents of smartctl, changed, and what reads them."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache
from random import Random
from typing import Any

from drystone.kernel.smart import parse_report
from drystone.testing.fuzz.mutate import mutate_file
from drystone.testing.fuzz.oracles import demand
from drystone.testing.smart import make_ata, make_nvme, make_refusal, make_scsi

_ODD: tuple[Any, ...] = (None, True, -1, 1 << 70, 1e300, "", "197", "\ud800\x00", [], [[]], {}, {"value": []})


@cache
def _documents() -> tuple[dict[str, Any], ...]:
    return (make_ata(pending=3, passed=False), make_nvme(media_errors=9), make_scsi(uncorrected=2), make_refusal())


def make_smart(random: Random) -> bytes:
    """A document with a value that is another, or with other bytes."""
    document = json.loads(json.dumps(random.choice(_documents())))
    if random.random() < 0.7:
        for _ in range(random.randint(1, 4)):
            _replace_one(document, random)
        return json.dumps(document).encode("utf-8", "surrogatepass")
    return mutate_file(json.dumps(document).encode(), random)


def _replace_one(document: Any, random: Random) -> None:
    """Somewhere in it."""
    while True:
        keys = list(document) if isinstance(document, dict) else list(range(len(document)))
        if not keys:
            return
        key = random.choice(keys)
        if not isinstance(document[key], dict | list) or random.random() < 0.2:
            document[key] = deepcopy(random.choice(_ODD))
            return
        document = document[key]


def read_smart(data: bytes) -> None:
    """What is told is of the kinds that it should be."""
    report = parse_report(data)
    numbers = (report.sectors, report.celsius, report.hours)
    demand(all(each is None or 0 <= each < 1 << 66 for each in numbers), f"{numbers}")
    texts = (report.model, report.serial, report.trouble)
    demand(all(each.isprintable() and len(each) < 1000 for each in texts), f"{texts}")
