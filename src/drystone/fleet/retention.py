"""How long a bucket keeps what it is given, for operators: said in days, kept as the settings that S3 knows.

What S3's clients set beside stays: other lifecycle rules, locks of single objects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from drystone.base.errors import RefusedError, UsageError
from drystone.fleet.s3.lifecycle import DAY, MAX_DAYS, Rule, pack_rules, unpack_rules
from drystone.fleet.s3.settings import LIFECYCLE, LOCK, VERSIONING, DefaultLock, default_lock, versioning

_DELETED = "drystone-keep-deleted"
_EXPIRE = "drystone-expire"
_LEAST = 1
"""Days: of versions that are left when nothing is to be kept any more."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Days, 0 for none.

    :ivar deleted: that what was deleted or replaced can be had back, as an earlier version. :ivar locked: in which a
        new version can be deleted for good by nobody who has no right to pass over it (S3's GOVERNANCE).
    :ivar expire: after which an object is deleted by itself.
    """

    deleted: int = 0
    locked: int = 0
    expire: int = 0


def read_retention(settings: Mapping[str, str]) -> Retention:
    """Of a bucket's settings; lifecycle rules of others are not counted."""
    rules = {rule.id: rule for rule in unpack_rules(settings.get(LIFECYCLE, ""))}
    lock = default_lock(settings)
    keeps = versioning(settings) == "Enabled" and _DELETED in rules
    return Retention(
        deleted=rules[_DELETED].noncurrent_days if keeps else 0,
        locked=lock.seconds() // DAY if lock is not None and lock.mode else 0,
        expire=rules[_EXPIRE].days if _EXPIRE in rules else 0,
    )


def change_settings(
    settings: Mapping[str, str], *, deleted: int | None = None, locked: int | None = None, expire: int | None = None
) -> dict[str, str]:
    """The settings that become others, with "" for those that go. Days, 0 for none; None leaves it.

    :raises UsageError: a number of days that cannot be. :raises RefusedError: versions must be kept, as of a lock.
    """
    for days in (deleted, locked, expire):
        if days is not None and not 0 <= days <= MAX_DAYS:
            raise UsageError(f"{days} days: 0 to {MAX_DAYS} can be set")
    after = dict(settings)
    if locked is not None:
        _set_lock(after, locked)
    if deleted is not None:
        _set_deleted(after, deleted)
    if expire is not None:
        _replace_rule(after, Rule(_EXPIRE, enabled=True, days=expire) if expire else None, _EXPIRE)
    return {
        name: after.get(name, "") for name in {**settings, **after} if after.get(name, "") != settings.get(name, "")
    }


def _set_lock(settings: dict[str, str], days: int) -> None:
    """Object lock cannot be taken from a bucket again, as in S3: with 0 new versions get none."""
    if days or default_lock(settings) is not None:
        settings[VERSIONING] = "Enabled"
        settings[LOCK] = msgspec.json.encode(DefaultLock("GOVERNANCE", days) if days else DefaultLock()).decode()


def _set_deleted(settings: dict[str, str], days: int) -> None:
    if days:
        settings[VERSIONING] = "Enabled"
    elif default_lock(settings) is not None:
        raise RefusedError("the bucket has object lock: what is deleted stays as a version", hint="1 day at least")
    elif versioning(settings):
        settings[VERSIONING] = "Suspended"
    kept = bool(days) or any(rule.id == _DELETED for rule in unpack_rules(settings.get(LIFECYCLE, "")))
    rule = Rule(_DELETED, enabled=True, noncurrent_days=max(days, _LEAST), markers=True)
    _replace_rule(settings, rule if kept else None, _DELETED)


def _replace_rule(settings: dict[str, str], rule: Rule | None, id_: str) -> None:
    rules = [each for each in unpack_rules(settings.get(LIFECYCLE, "")) if each.id != id_]
    if rule is not None:
        rules.append(rule)
    settings[LIFECYCLE] = pack_rules(tuple(rules)) if rules else ""
