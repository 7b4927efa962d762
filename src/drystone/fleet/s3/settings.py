"""The settings of a bucket that S3 knows, by their names in `Bucket.settings`, and what they say.

| name | text |
|---|---|
| versioning | Enabled or Suspended; absent: never enabled |
| lock | JSON {"mode", "days"}: object lock is enabled; mode "" when there is no default retention |
| policy | the bucket policy, JSON as it was put |
| tags | JSON object of the bucket's tags |
| lifecycle | JSON array of rules, see drystone.fleet.s3.lifecycle |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

VERSIONING = "versioning"
LOCK = "lock"
POLICY = "policy"
TAGS = "tags"
LIFECYCLE = "lifecycle"
Versioning = Literal["", "Enabled", "Suspended"]


class DefaultLock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What new versions of a bucket with object lock get.

    :ivar mode: GOVERNANCE, COMPLIANCE or "" for nothing. :ivar days: of retention; years have `years` instead.
    """

    mode: str = ""
    days: int = 0
    years: int = 0

    def seconds(self) -> int:
        """How long a new version is retained."""
        return 86400 * (self.days + 365 * self.years)


def versioning(settings: Mapping[str, str]) -> Versioning:
    """Whether a put keeps what was there: always, where versions may be locked."""
    if settings.get(LOCK):
        return "Enabled"
    text = settings.get(VERSIONING, "")
    if text == "Enabled":
        return "Enabled"
    return "Suspended" if text == "Suspended" else ""


def default_lock(settings: Mapping[str, str]) -> DefaultLock | None:
    """The lock of new versions; None when the bucket has no object lock."""
    text = settings.get(LOCK, "")
    return msgspec.json.decode(text, type=DefaultLock) if text else None


def bucket_tags(settings: Mapping[str, str]) -> dict[str, str]:
    """The bucket's tags, empty when there are none."""
    text = settings.get(TAGS, "")
    return msgspec.json.decode(text, type=dict[str, str]) if text else {}
