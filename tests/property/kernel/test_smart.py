"""Whatever smartctl writes: a report of sensible values, or one refusal."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from drystone.base.errors import DamagedError
from drystone.kernel.smart import SmartReport, parse_report
from drystone.testing.smart import make_ata, make_nvme, make_scsi

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=12
)
_DOCUMENTS = (make_ata(pending=3), make_nvme(media_errors=2), make_scsi(uncorrected=1))


def places(document: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every place in a document, as the keys that lead there."""
    found = [path] if path else []
    if isinstance(document, dict):
        found += [place for key, inner in document.items() for place in places(inner, (*path, key))]
    if isinstance(document, list):
        found += [place for at, inner in enumerate(document) for place in places(inner, (*path, at))]
    return found


def check(report: SmartReport) -> None:
    for number in (report.sectors, report.celsius, report.hours):
        assert number is None or (type(number) is int and number >= 0)
    assert report.passed in {None, True, False}
    for text in (report.model, report.serial, report.trouble):
        assert text.isprintable()
        assert len(text) <= 1000


@given(st.sampled_from(range(len(_DOCUMENTS))), st.data())
def test_a_document_of_which_one_value_is_another(which: int, data: st.DataObject) -> None:
    document = json.loads(json.dumps(_DOCUMENTS[which]))
    *way, last = data.draw(st.sampled_from(places(document)))
    inner = document
    for each in way:
        inner = inner[each]
    inner[last] = data.draw(_VALUES)
    check(parse_report(json.dumps(document).encode("utf-8", "replace")))


@given(st.binary() | _VALUES.map(lambda each: json.dumps(each).encode()))
def test_bytes_that_are_no_report(data: bytes) -> None:
    with contextlib.suppress(DamagedError):
        check(parse_report(data))
