"""Errors cross the wire whole."""

from __future__ import annotations

import errno
import json

import pytest

from drystone.base.errors import BusyError, DrystoneError, InternalError, KernelError, NotFoundError, error_classes
from drystone.wire.problems import from_problem, status_of, to_problem


def test_statuses_are_few() -> None:
    assert status_of(NotFoundError("x")) == 404
    assert status_of(InternalError("x")) == 500
    assert status_of(BusyError("x")) == 400


@pytest.mark.parametrize("kind", [each for each in error_classes() if each is not KernelError])
def test_an_error_keeps_class_text_hint_and_facts(kind: type[DrystoneError]) -> None:
    sent = json.loads(json.dumps(to_problem(kind("no luck", hint="try more", volume="v", count=3), request_id="r1")))
    received = from_problem(sent)
    assert type(received) is kind
    assert received.message == "no luck"
    assert received.hint == "try more"
    assert received.facts == {"volume": "v", "count": 3, "request_id": "r1"}


def test_a_kernel_error_keeps_errno_device_and_its_own_words() -> None:
    sent = to_problem(KernelError("suspend", errno.EBUSY, device="pool", outcome="unwound"))
    sent["detail"] = "words of the other machine"
    received = from_problem(sent)
    assert isinstance(received, KernelError)
    assert (received.errno, received.device, received.operation) == (errno.EBUSY, "pool", "suspend")
    assert received.message == "words of the other machine"
    assert str(received) == "words of the other machine"
    assert received.facts["outcome"] == "unwound"


@pytest.mark.parametrize(
    "document",
    [{}, {"code": "unheard-of"}, {"facts": [1], "detail": 7}, {"facts": {"message": 1, "hint": 2}, "code": "busy"}],
)
def test_any_object_becomes_an_error(document: dict[str, object]) -> None:
    assert isinstance(from_problem(document), DrystoneError)


def test_facts_that_are_no_json_stay_behind() -> None:
    assert to_problem(BusyError("x", path=object(), list=[1, "a"]))["facts"] == {"list": [1, "a"]}
