"""`python -m drystone.testing.region_crashes`: the table of everything that was tried on replicated regions.

It is in docs/explanation/replicated-metadata.md, and takes less than a minute. The exit code is 1 when a promise is
broken.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from drystone.dvm.replication.views import EVERYTHING, Checks
from drystone.testing.region_births import BIRTHS, BirthHunt
from drystone.testing.region_hunt import Hunt, Tally
from drystone.testing.region_misuse import MISUSES
from drystone.testing.region_scenarios import SCENARIOS, Counterexample, Scenario

COLUMNS = (
    "what is cut short",
    "cuts",
    "states of the disks",
    "different",
    "followed",
    "old",
    "new",
    "forks refused",
    "unreadable",
)


def hunt_everything(
    checks: Checks = EVERYTHING, dropped: str = "", *, scenarios: Sequence[Scenario] = SCENARIOS
) -> Iterator[tuple[str, Tally]]:
    """Every scenario and its tally, cheap ones first.

    :param checks: those that are made. :param dropped: the flush that is left out.
    :param scenarios: those that are hunted through, in this order.
    :raises Counterexample: a promise is broken.
    """
    for birth in BIRTHS:
        yield birth.name, BirthHunt(birth, checks, dropped).run()
    if not dropped:
        for misuse in MISUSES:
            misuse(checks)
    for scenario in scenarios:
        yield scenario.name, Hunt(scenario, checks, dropped).run()


def main() -> int:
    """Print the table."""
    lines = [COLUMNS, tuple("---" for _ in COLUMNS)]
    total = Tally()
    try:
        for name, tally in hunt_everything():
            total.add(tally)
            lines.append((name, *tally.to_row()))
    except Counterexample as found:
        sys.stderr.write(f"{found}\n{''.join(getattr(found, '__notes__', []))}\n")
        return 1
    lines.append(("all", *total.to_row()))
    for line in lines:
        sys.stdout.write(f"| {' | '.join(line)} |\n")
    sys.stdout.write(f"\nRefused besides, with nothing changed: {len(MISUSES)} kinds of damage, mix-ups and forks.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
