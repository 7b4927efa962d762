from __future__ import annotations

import pytest

from drystone.base.documents import encode
from drystone.base.errors import UsageError
from drystone.dvm.instructions import Resume
from drystone.dvm.program import Needed, Program, parse_program


def test_json_is_short_and_comes_back() -> None:
    program = Program((Resume("a"), Resume("b", insist=True)), (Needed("a"),))
    data = encode(program)
    assert data == (
        b'{"instructions":[{"op":"resume","device":"a"},{"op":"resume","device":"b","insist":true}],'
        b'"devices":[{"name":"a"}],"version":1}'
    )
    assert parse_program(data) == program
    assert not program.is_empty
    assert Program().is_empty


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"instructions": [{"op": "frob"}]}', "frob"),
        ('{"instructions": [{"op": "resume", "device": "a", "later": 1}]}', "later"),
        ('{"instructions": [{"op": "resume"}]}', "device"),
        ('{"instructions": [{"op": "wait", "device": "a", "event_nr": "1"}]}', r"event_nr"),
        ('{"version": 2}', "version 2"),
        ('{"instructions": []} x', "trailing"),
    ],
)
def test_complaints(text: str, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        parse_program(text)
