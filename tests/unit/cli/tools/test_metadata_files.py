from __future__ import annotations

from drystone.base.errors import DamagedError, KernelError
from drystone.cli.tools.plain.failures import name_file


def test_an_error_gets_the_file_before_its_message() -> None:
    named = name_file(DamagedError("block 7 is damaged", hint="repair it", block=7), "meta.img")
    assert isinstance(named, DamagedError)
    assert named.to_document() == {
        "code": DamagedError.code,
        "message": "meta.img: block 7 is damaged",
        "hint": "repair it",
        "block": 7,
        "file": "meta.img",
    }


def test_a_failed_system_call_stays_as_it_is() -> None:
    error = KernelError("read", 5, device="/dev/sdb", offset=4096)
    assert name_file(error, "/dev/sdb") is error
