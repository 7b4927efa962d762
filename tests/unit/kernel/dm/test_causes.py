from __future__ import annotations

import errno

import pytest

from drystone.base.errors import BusyError, DrystoneError, ExistsError, KernelError, NotFoundError, UsageError
from drystone.kernel.dm.causes import class_of, classed


@pytest.mark.parametrize(
    ("operation", "number", "kind"),
    [
        ("remove", errno.EBUSY, BusyError),
        ("create", errno.EBUSY, ExistsError),
        ("rename", errno.EBUSY, ExistsError),
        ("rename", errno.EINVAL, UsageError),
        ("info", errno.ENXIO, NotFoundError),
        ("create", errno.ENXIO, ExistsError),
        ("load", errno.EINVAL, KernelError),
        ("message", errno.EIO, KernelError),
    ],
)
def test_the_class_of_an_errno(operation: str, number: int, kind: type[DrystoneError]) -> None:
    assert class_of(operation, number) is kind


def test_every_fact_is_kept_and_the_device_is_called_as_the_user_calls_it() -> None:
    error = KernelError("remove", errno.EBUSY, device="253:0", hint="unmount it", log=["a line"])
    found = classed(error, "vg")
    assert found.message == "remove on vg failed: EBUSY (Device or resource busy)"
    assert found.to_document() == {
        **error.to_document(),
        "code": "busy",
        "message": found.message,
        "device": "vg",
    }
    same = classed(KernelError("load", errno.EINVAL, device="253:0", log=["a line"]))
    assert isinstance(same, KernelError)
    assert same.facts["device"] == "253:0"
    assert same.facts["log"] == ["a line"]
