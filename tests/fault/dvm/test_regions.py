"""Everything that a crash can leave of replicated regions is survived; and nothing that is done for it is in vain.

The mutation check takes away each flush and each check in turn, by leaving it out of a value, and wants the hunt
to find a state in which a promise is broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from drystone.dvm.replication.views import EVERYTHING, Checks
from drystone.testing.region_births import BIRTHS, Birth, BirthHunt
from drystone.testing.region_crashes import hunt_everything
from drystone.testing.region_hunt import Hunt, Tally
from drystone.testing.region_misuse import MISUSES, Misuse
from drystone.testing.region_scenarios import SCENARIOS, Counterexample, Scenario

TABLE = Path(__file__).parents[3] / "docs/explanation/replicated-metadata.md"
FLUSHES = (
    "abort > _write_slots > _flush > settle",
    "abort > _write_slots > write_slot",
    "add_regions > _write_new",
    "add_regions > _write_new > write_pages",
    "commit > _write_slots > _flush > settle",
    "commit > _write_slots > write_slot",
    "format_regions > _write_new",
    "format_regions > _write_new > write_pages",
    "prepare > _flush > settle",
    "prepare > _take_back > give_up > settle",
    "prepare > _take_back > give_up > write_slot",
    "prepare > write_pages",
    "prepare > write_slot",
    "recover > _flush > settle",
    "recover > _take_step > write_pages",
    "recover > _take_step > write_slot",
)
"""Every flush of `dvm.replicate`, by the functions that lead to it; the hunts see no other."""
PROGRAM = SCENARIOS[-1]
PROGRAM_FLUSHES = tuple(
    f"execute > run > _step > _try > _try_once > {each} > flush"
    for each in ("_commit", "<lambda>")  # the one that decides, the others
)
"""Those of a program with the commit inside."""


def _without(group: str, name: str) -> Checks:
    """All checks but one."""
    if group == "steps":
        return replace(EVERYTHING, steps=EVERYTHING.steps - {name})
    changed: dict[str, Any] = {group: {key: value for key, value in getattr(EVERYTHING, group).items() if key != name}}
    return replace(EVERYTHING, **changed)


CHECKS = [
    (group, name)
    for group in ("slots", "pages", "rules", "protected", "steps")
    for name in sorted(getattr(EVERYTHING, group))
]


FOUND_IN = {
    ("protected", "next"): "recover: committed, prepared, ahead",
    ("steps", "cached"): "an update, in a page cache",
    ("slots", "checksum"): "an update, sectors torn within",
}
"""Where a hunt finds what others take long to come to."""


@pytest.mark.parametrize("birth", BIRTHS, ids=lambda birth: birth.name.replace(" ", "-"))
def test_regions_and_preparations_are_made_whole_or_not_at_all(birth: Birth) -> None:
    tally = BirthHunt(birth).run()
    assert tally.endings >= tally.crashes > 1
    assert row(birth.name, tally) in TABLE.read_text()


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name.replace(" ", "-"))
def test_after_every_crash_the_old_or_the_new_data_are_read(scenario: Scenario) -> None:
    tally = Hunt(scenario).run()
    assert tally.unreadable == 0
    assert tally.new > 0
    assert tally.states > tally.crashes > tally.worlds > 4
    assert row(scenario.name, tally) in TABLE.read_text(), "python -m drystone.testing.region_crashes makes the table"


@pytest.mark.parametrize("misuse", MISUSES, ids=lambda misuse: misuse.__name__.replace("_", "-"))
def test_damage_mix_ups_and_forks_are_refused(misuse: Misuse) -> None:
    misuse(EVERYTHING)


def test_every_flush_is_seen_and_none_is_forgotten() -> None:
    sites: set[str] = set()
    for birth in BIRTHS:
        BirthHunt(birth, sites=sites).run()
    for scenario in (SCENARIOS[0], SCENARIOS[1], SCENARIOS[3]):
        Hunt(scenario, sites=sites).run()
    assert sites == set(FLUSHES)


@pytest.mark.parametrize("site", FLUSHES)
def test_without_a_flush_a_counterexample_is_found(site: str) -> None:
    assert finds_counterexample(EVERYTHING, site)


@pytest.mark.parametrize("site", PROGRAM_FLUSHES)
def test_without_a_flush_of_the_program_a_counterexample_is_found(site: str) -> None:
    seen: set[str] = set()
    Hunt(PROGRAM, sites=seen).run()
    assert site in seen
    with pytest.raises(Counterexample):
        Hunt(PROGRAM, dropped=site).run()


@pytest.mark.parametrize(("group", "name"), CHECKS)
def test_without_a_check_a_counterexample_is_found(group: str, name: str) -> None:
    first = FOUND_IN.get((group, name))
    scenarios = SCENARIOS if first is None else [each for each in SCENARIOS if each.name == first]
    assert finds_counterexample(_without(group, name), scenarios=scenarios)


def row(name: str, tally: Tally) -> str:
    return f"| {' | '.join((name, *tally.to_row()))} |"


def finds_counterexample(checks: Checks, dropped: str = "", *, scenarios: Sequence[Scenario] = SCENARIOS) -> bool:
    """Whether the hunt finds a broken promise, or drives the code into a defect."""
    try:
        for _ in hunt_everything(checks, dropped, scenarios=scenarios):
            pass
    except Exception:  # noqa: BLE001  # whatever it is: with everything in its place there is none
        return True
    return False
