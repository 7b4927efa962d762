"""The first match wins for a path; any accepted path accepts the device."""

from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.dvm.discovery.filters import Filter, judge, make_filter


def accept(pattern: str) -> Filter:
    return make_filter(pattern, accept=True, where="here")


def reject(pattern: str) -> Filter:
    return make_filter(pattern, accept=False, where="here")


@pytest.mark.parametrize(
    ("filters", "paths", "is_accepted"),
    [
        ([], ["/dev/sda"], True),
        ([reject("sda")], ["/dev/sda"], False),
        ([reject("sda")], ["/dev/sdb"], True),
        ([accept("sda"), reject(".")], ["/dev/sda"], True),
        ([reject("."), accept("sda")], ["/dev/sda"], False),
        ([accept("by-id"), reject(".")], ["/dev/sda", "/dev/disk/by-id/x"], True),
        ([reject("sda"), accept("by-id")], ["/dev/sda", "/dev/disk/by-id/x"], True),
        ([reject("by-id")], ["/dev/sda", "/dev/disk/by-id/x"], False),
        ([reject("^/dev/sd")], ["/dev/disk/by-id/sd"], True),
    ],
)
def test_the_rule(filters: list[Filter], paths: list[str], is_accepted: bool) -> None:
    assert judge(filters, paths).is_accepted is is_accepted


def test_the_verdict_says_what_decided() -> None:
    assert judge([reject("sd")], ["/dev/sda"]).by == "reject 'sd' on /dev/sda"
    assert judge([accept("sd")], ["/dev/sda"]).by == "accept 'sd' on /dev/sda"


def test_no_regular_expression() -> None:
    with pytest.raises(UsageError, match=r"here: '\(' is no regular expression"):
        accept("(")
