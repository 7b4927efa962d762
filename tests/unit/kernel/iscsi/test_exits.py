"""iscsiadm's exit codes as errors."""

from __future__ import annotations

import pytest

from drystone.base.errors import BusyError, DrystoneError, MismatchError, NotFoundError, UnavailableError
from drystone.kernel.iscsi.exits import failure
from drystone.kernel.iscsi.names import Portal

TARGET, PORTAL = "iqn.2026-11.org.example:leg", Portal("::1")


@pytest.mark.parametrize(
    ("status", "kind"), [(24, MismatchError), (8, UnavailableError), (21, NotFoundError), (28, BusyError)]
)
def test_known_codes(status: int, kind: type[DrystoneError]) -> None:
    error = failure(status, "login", TARGET, PORTAL, "iscsiadm: something")
    assert type(error) is kind
    assert error.message.startswith(f"login of {TARGET} at [::1]:3260 failed: ")
    assert "\n" not in str(error)
    assert (error.facts["status"], error.facts["output"]) == (status, "iscsiadm: something")


def test_every_other_code_says_what_iscsiadm_said() -> None:
    for status in (1, 6, 9, 99, -9):
        error = failure(status, "login", TARGET, PORTAL, "iscsiadm: something")
        assert type(error) is DrystoneError
        assert "iscsiadm: something" in error.message
