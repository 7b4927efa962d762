from __future__ import annotations

import errno
import json

from drystone.base.errors import DrystoneError, ExhaustedError, KernelError, error_classes


def test_every_class_has_its_own_exit_code_and_word() -> None:
    classes = error_classes()
    assert len({each.exit_code for each in classes}) == len(classes)
    assert len({each.code for each in classes}) == len(classes)
    assert all(each.advice for each in classes)
    assert not {each.exit_code for each in classes} & {0, 126, 127, 130, 141}


def test_a_document_holds_message_hint_and_facts_but_no_empty_ones() -> None:
    error = ExhaustedError("the pool is full", hint="add space", pool="p", used=5, device=None)
    assert error.to_document() == {
        "code": "exhausted",
        "message": "the pool is full",
        "hint": "add space",
        "pool": "p",
        "used": 5,
    }
    assert str(error) == "the pool is full (add space)"
    assert isinstance(error, DrystoneError)


def test_a_kernel_error_keeps_errno_as_number_and_name() -> None:
    error = KernelError("remove", errno.EBUSY, device="db")
    assert error.errno == errno.EBUSY
    assert error.message == "remove on db failed: EBUSY (Device or resource busy)"
    assert json.loads(json.dumps(error.to_document()))["errno_name"] == "EBUSY"
