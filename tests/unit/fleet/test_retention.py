"""How long a bucket keeps what it is given."""

from __future__ import annotations

import pytest

from drystone.base.errors import RefusedError, UsageError
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.retention import Retention, change_settings, read_retention
from drystone.fleet.s3.lifecycle import DAY, Rule, find_expired, pack_rules, unpack_rules
from drystone.fleet.s3.settings import LIFECYCLE, VERSIONING, default_lock, versioning

OWN = Rule("a client's", enabled=True, prefix="tmp/", days=1)


def change(settings: dict[str, str], **days: int) -> dict[str, str]:
    """The settings afterwards, as a mapper merges them."""
    merged = {**settings, **change_settings(settings, **days)}
    return {name: text for name, text in merged.items() if text}


def test_nothing_is_kept_by_itself() -> None:
    assert read_retention({}) == Retention()
    assert change_settings({}) == {}
    assert change_settings({}, deleted=0, locked=0, expire=0) == {}


def test_what_is_set_is_read_again() -> None:
    settings = change({}, deleted=7, locked=30, expire=365)
    assert read_retention(settings) == Retention(7, 30, 365)
    assert versioning(settings) == "Enabled"
    lock = default_lock(settings)
    assert lock is not None
    assert (lock.mode, lock.days) == ("GOVERNANCE", 30)
    assert read_retention(change(settings, deleted=9)) == Retention(9, 30, 365)


def test_what_was_deleted_goes_when_its_days_are_over_and_its_marker_after_it() -> None:
    rules = unpack_rules(change({}, deleted=7)[LIFECYCLE])
    marker = ObjectInfo("h/x", 0, 10 * DAY, "", "", 2, version_id="v2", delete_marker=True)
    before = ObjectInfo("h/x", 5, 1 * DAY, "", "", 1, version_id="v1", latest=False)
    assert find_expired(rules, [marker, before], 16 * DAY) == []
    assert [each.info.version_id for each in find_expired(rules, [marker, before], 18 * DAY)] == ["v1"]
    assert [each.info.version_id for each in find_expired(rules, [marker], 18 * DAY)] == ["v2"]


def test_the_rules_of_clients_stay() -> None:
    settings = change({LIFECYCLE: pack_rules((OWN,))}, deleted=7, expire=9)
    assert OWN in unpack_rules(settings[LIFECYCLE])
    assert change(settings, expire=0, deleted=3)[LIFECYCLE].count("a client's") == 1
    assert read_retention({LIFECYCLE: pack_rules((OWN,))}) == Retention()


def test_when_nothing_is_kept_any_more_what_was_kept_goes_soon() -> None:
    settings = change(change({}, deleted=7), deleted=0)
    assert settings[VERSIONING] == "Suspended"
    assert read_retention(settings) == Retention()
    (rule,) = unpack_rules(settings[LIFECYCLE])
    assert (rule.noncurrent_days, rule.markers) == (1, True)


def test_a_lock_is_not_taken_away_and_keeps_versions() -> None:
    settings = change({}, locked=30)
    with pytest.raises(RefusedError, match="object lock"):
        change(settings, deleted=0)
    without = change(settings, locked=0)
    assert read_retention(without).locked == 0
    assert default_lock(without) is not None


@pytest.mark.parametrize("days", [-1, 36_501])
def test_days_that_cannot_be(days: int) -> None:
    for name in ("deleted", "locked", "expire"):
        with pytest.raises(UsageError):
            change_settings({}, **{name: days})
