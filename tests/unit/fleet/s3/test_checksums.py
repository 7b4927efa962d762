"""Checksums: known values, sums that pass by, combinations of parts."""

from __future__ import annotations

import base64
import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.fleet.objects import PutOptions, UploadInfo
from drystone.fleet.s3.checksums import (
    COMPOSITE,
    FULL_OBJECT,
    SIZES,
    Sums,
    check_complete,
    combine_composite,
    combine_etags,
    combine_full,
    format_checksum,
    make_sum,
    parse_checksum,
    with_sums_of,
)
from drystone.fleet.s3.errors import Code, S3Error

CHECK = b"123456789"
KNOWN = {
    "crc32": bytes.fromhex("cbf43926"),
    "crc32c": bytes.fromhex("e3069283"),
    "crc64nvme": bytes.fromhex("ae8b14860a799888"),
    "sha1": hashlib.sha1(CHECK).digest(),
    "sha256": hashlib.sha256(CHECK).digest(),
}
"""Of the check string of the CRC catalogues."""


def value(name: str, data: bytes) -> str:
    found = make_sum(name)
    found.update(data)
    return format_checksum(found.digest())


@pytest.mark.parametrize("name", SIZES)
def test_known_values(name: str) -> None:
    assert value(name, CHECK) == format_checksum(KNOWN[name])
    pieces = make_sum(name)
    for at in range(9):
        pieces.update(memoryview(CHECK)[at : at + 1])
    assert pieces.digest() == KNOWN[name]


def test_sums_check_and_keep() -> None:
    md5, sha256 = hashlib.md5(CHECK).hexdigest(), hashlib.sha256(CHECK).hexdigest()
    sums = Sums(PutOptions(size=9, md5=md5, sha256=sha256, checksums={"crc32": "", "sha1": value("sha1", CHECK)}))
    sums.update(CHECK[:4])
    sums.update(memoryview(CHECK)[4:])
    kept = sums.finish({"crc32": value("crc32", CHECK), "sha256": "not announced: not looked at"})
    assert kept == {"crc32": value("crc32", CHECK), "sha1": value("sha1", CHECK)}
    assert (sums.md5, sums.size) == (md5, 9)


@pytest.mark.parametrize(
    ("options", "trailers", "code"),
    [
        (PutOptions(size=8), {}, Code.IncompleteBody),
        (PutOptions(md5="0" * 32), {}, Code.BadDigest),
        (PutOptions(sha256="0" * 64), {}, Code.XAmzContentSHA256Mismatch),
        (PutOptions(checksums={"crc32": "AAAAAA=="}), {}, Code.BadDigest),
        (PutOptions(checksums={"crc32": ""}), {"crc32": "AAAAAA=="}, Code.BadDigest),
    ],
)
def test_sums_refuse_what_differs(options: PutOptions, trailers: dict[str, str], code: Code) -> None:
    sums = Sums(options)
    sums.update(CHECK)
    with pytest.raises(S3Error) as caught:
        sums.finish(trailers)
    assert caught.value.code is code


def test_sums_without_md5_leave_it_to_others() -> None:
    sums = Sums(PutOptions(md5="0" * 32), md5=False)
    sums.update(CHECK)
    assert (sums.finish({}), sums.md5) == ({}, "")


@pytest.mark.parametrize("text", ["", "AA==", "AAAAAAA=", "!!!!!!==", "\u00e9", "AAAAAA== AAAAAA=="])
def test_a_malformed_checksum_is_refused(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        parse_checksum("crc32", text)
    assert caught.value.code is Code.InvalidRequest


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=6), st.sampled_from(["crc32", "crc32c", "crc64nvme"]))
def test_combined_sums_are_those_of_the_whole(parts: list[bytes], name: str) -> None:
    sums = [(value(name, part), len(part)) for part in parts]
    assert combine_full(name, sums) == value(name, b"".join(parts))


def test_composite_sums_are_sums_of_sums() -> None:
    parts = [b"one", b"two"]
    joined = b"".join(zlib.crc32(part).to_bytes(4, "big") for part in parts)
    expected = base64.b64encode(zlib.crc32(joined).to_bytes(4, "big")).decode()
    assert combine_composite("crc32", [value("crc32", part) for part in parts]) == f"{expected}-2"
    etags = [hashlib.md5(part).hexdigest() for part in parts]
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    assert combine_etags(etags) == f"{hashlib.md5(digests).hexdigest()}-2"


def test_a_part_has_the_sums_that_its_upload_wants() -> None:
    upload = UploadInfo("k", "u", 0.0, PutOptions(checksums={"crc32c": ""}))
    assert with_sums_of(upload, PutOptions()).checksums == {"crc32c": ""}
    stated = PutOptions(size=4, checksums={"crc32c": "AAAAAA==", "sha1": ""})
    assert with_sums_of(upload, stated) == stated


def test_completion() -> None:
    parts = [(value("crc32", part), len(part)) for part in (b"one", b"two")]
    whole, composite = value("crc32", b"onetwo"), combine_composite("crc32", [text for text, _ in parts])
    none = PutOptions()
    assert check_complete(none, "", "", parts) == ({}, "")
    assert check_complete(none, "crc32", "", [("", 3)]) == ({}, "")
    assert check_complete(none, "crc32", "", parts) == ({"crc32": composite}, COMPOSITE)
    assert check_complete(none, "crc32", FULL_OBJECT, parts) == ({"crc32": whole}, FULL_OBJECT)
    nvme = [(value("crc64nvme", b"one"), 3)]
    assert check_complete(none, "crc64nvme", "", nvme) == ({"crc64nvme": nvme[0][0]}, FULL_OBJECT)
    stated = PutOptions(checksums={"crc32": whole})
    assert check_complete(stated, "crc32", FULL_OBJECT, parts)[1] == FULL_OBJECT
    with pytest.raises(S3Error) as caught:
        check_complete(stated, "crc32", COMPOSITE, parts)
    assert caught.value.code is Code.BadDigest
