"""Object lock: what stays, and what may be changed."""

from __future__ import annotations

from drystone.fleet.s3.errors import Code
from drystone.fleet.s3.locks import check_removal, check_retention
from drystone.testing.fleet.refusals import refusal

GOVERNED = {"mode": "GOVERNANCE", "until": "1970-01-01T00:16:40.000Z"}
STRICT = {"mode": "COMPLIANCE", "until": "1970-01-01T00:16:40.000Z"}


def test_locks_keep_from_removal() -> None:
    check_removal({}, 0.0, bypass=False)
    check_removal({"hold": "OFF"}, 0.0, bypass=False)
    for bypass in (False, True):
        assert refusal(check_removal, {"hold": "ON"}, 5000.0, bypass=bypass) is Code.AccessDenied
        assert refusal(check_removal, STRICT, 999.0, bypass=bypass) is Code.AccessDenied
        check_removal(STRICT, 1001.0, bypass=bypass)
    assert refusal(check_removal, GOVERNED, 999.0, bypass=False) is Code.AccessDenied
    check_removal(GOVERNED, 999.0, bypass=True)


def test_retention_becomes_no_weaker() -> None:
    longer = "1970-01-01T00:16:41.000Z"
    check_retention({}, STRICT, 0.0, bypass=False)
    check_retention(GOVERNED, {**GOVERNED, "until": longer}, 0.0, bypass=False)
    check_retention(GOVERNED, STRICT, 0.0, bypass=True)
    check_retention(GOVERNED, {}, 0.0, bypass=True)
    check_retention(STRICT, {**STRICT, "until": longer}, 0.0, bypass=False)
    check_retention(STRICT, {}, 1001.0, bypass=False)
    for old, new, bypass in (
        (GOVERNED, {}, False),
        (GOVERNED, {**STRICT, "until": longer}, False),
        (GOVERNED, {**GOVERNED, "until": "1970-01-01T00:16:39.000Z"}, False),
        (STRICT, {}, True),
        (STRICT, {**GOVERNED, "until": longer}, True),
        (STRICT, {**STRICT, "until": "1970-01-01T00:16:39.000Z"}, True),
    ):
        assert refusal(check_retention, old, new, 0.0, bypass=bypass) is Code.AccessDenied
