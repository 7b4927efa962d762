"""What disks say of themselves, out of smartctl's documents."""

import json

import pytest

from drystone.base.errors import DamagedError
from drystone.kernel.smart import LONGEST, SmartReport, parse_report
from drystone.testing.smart import make_ata, make_nvme, make_refusal, make_scsi


def read(document: object) -> SmartReport:
    return parse_report(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("document", "sectors"),
    [
        (make_ata(pending=3, uncorrectable=4), 7),
        (make_ata(pending=(9 << 32) + 2), 2),
        (make_nvme(media_errors=5), 5),
        (make_scsi(uncorrected=6), 6),
        (make_ata(), 0),
        (make_ata(ata_smart_attributes={}), None),
    ],
)
def test_sectors_that_could_not_be_read(document: object, sectors: int | None) -> None:
    assert read(document).sectors == sectors


@pytest.mark.parametrize("passed", [True, False])
def test_the_self_assessment(passed: bool) -> None:
    for document in (make_ata(passed=passed), make_nvme(passed=passed), make_scsi(passed=passed)):
        report = read(document)
        assert (report.passed, report.knows) == (passed, True)
        assert (report.model, report.serial, report.celsius, report.hours) == ("TOPAZ 4000", "T-0815", 31, 12_345)


def test_a_device_without_smart_says_why() -> None:
    report = read(make_refusal())
    assert not report.knows
    assert report.trouble == "/dev/vda: Unable to detect device type"


@pytest.mark.parametrize(
    "more",
    [
        {"smart_status": {"passed": "no"}},
        {"smart_status": []},
        {"ata_smart_attributes": {"table": [7, {"id": 197}, {"id": True, "raw": {"value": 1}}]}},
        {"ata_smart_attributes": {"table": [{"id": 197, "raw": {"value": -1}}]}},
        {"temperature": 5, "power_on_time": {"hours": 1 << 64}},
        {"model_name": 5, "serial_number": ["x"]},
    ],
)
def test_what_has_another_form_is_not_told(more: dict[str, object]) -> None:
    report = read({**make_ata(), **more})
    kept = read(make_ata())
    changed = {name for name in SmartReport.__slots__ if getattr(report, name) != getattr(kept, name)}
    assert changed
    assert {getattr(report, name) for name in changed} <= {None, ""}


def test_what_is_not_printable_is_left_out() -> None:
    assert read({**make_ata(), "model_name": "a\x1b[31mb\n" + "c" * 500}).model == "a[31mb" + "c" * 74


@pytest.mark.parametrize("data", [b"", b"[]", b"7", b"{", b"\xff", b"[" * 100_000, b"{}" + b" " * LONGEST])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError, match="smartctl wrote"):
        parse_report(data)
