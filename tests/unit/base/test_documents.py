from __future__ import annotations

import msgspec
import pytest

from drystone.base.documents import decode, encode
from drystone.base.errors import UsageError

DEEP = b'[{"path": "a", "begin": 1, "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}]"


class Region(msgspec.Struct, frozen=True):
    path: str
    begin: int


def test_a_document_becomes_typed_values() -> None:
    assert decode(b'[{"path": "/dev/sda", "begin": 1}]', list[Region]) == [Region("/dev/sda", 1)]


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'[{"path": 1, "begin": 1}]', b"\xff\xfe", b"[]]", DEEP])
def test_bad_input_names_the_document(data: bytes) -> None:
    with pytest.raises(UsageError, match=r"^regions: "):
        decode(data, list[Region], "regions")


def test_encoding_is_compact_or_indented() -> None:
    assert encode(Region("a", 1)) == b'{"path":"a","begin":1}'
    assert encode(Region("a", 1), indent=2) == b'{\n  "path": "a",\n  "begin": 1\n}'
