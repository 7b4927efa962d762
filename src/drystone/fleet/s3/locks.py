"""Object lock: what may be removed and what may be changed. The S3 API reference, "Locking objects".

A version's lock is a dict: "mode" (GOVERNANCE or COMPLIANCE), "until" (RFC 3339), "hold" (ON or OFF), each where set.
"""

from __future__ import annotations

from collections.abc import Mapping

from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.moments import parse_iso

MODES = ("GOVERNANCE", "COMPLIANCE")


def _retained(lock: Mapping[str, str], now: float) -> bool:
    return bool(lock.get("mode")) and parse_iso(lock["until"]) > now


def check_removal(lock: Mapping[str, str], now: float, *, bypass: bool) -> None:
    """Whether a version with `lock` may be removed for good. A delete marker over it is always allowed.

    :param bypass: the client has the right and asked to pass over GOVERNANCE.
    :raises S3Error: AccessDenied.
    """
    if lock.get("hold") == "ON":
        raise S3Error(Code.AccessDenied, "The version is under legal hold.")
    if _retained(lock, now) and not (bypass and lock["mode"] == "GOVERNANCE"):
        raise S3Error(Code.AccessDenied, f"The version is retained until {lock['until']}.")


def check_retention(old: Mapping[str, str], new: Mapping[str, str], now: float, *, bypass: bool) -> None:
    """Whether the retention `old` may be replaced by `new` ("mode" and "until", or neither to take it away).

    :raises S3Error: AccessDenied: it would not only become longer; what is governed needs `bypass`, compliance stays.
    """
    if not _retained(old, now):
        return
    if new.get("mode") == old["mode"] and parse_iso(new["until"]) >= parse_iso(old["until"]):
        return
    if not (bypass and old["mode"] == "GOVERNANCE"):
        raise S3Error(Code.AccessDenied, f"The version is retained until {old['until']}.")
