"""Lifecycle rules: read, written, and what they remove."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from drystone.fleet.objects import ObjectInfo, PutOptions, UploadInfo
from drystone.fleet.s3 import xml
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.s3.lifecycle import (
    DAY,
    Expiry,
    Rule,
    due,
    find_expired,
    pack_rules,
    read_rules,
    rule_elements,
    unpack_rules,
    upload_expires,
)

FULL = b"""<LifecycleConfiguration>
<Rule><ID>all</ID><Status>Enabled</Status>
<Filter><And><Prefix>logs/</Prefix><Tag><Key>a</Key><Value>b</Value></Tag>
<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan><ObjectSizeLessThan>1000</ObjectSizeLessThan></And></Filter>
<Expiration><Days>30</Days></Expiration>
<NoncurrentVersionExpiration><NoncurrentDays>7</NoncurrentDays><NewerNoncurrentVersions>2</NewerNoncurrentVersions>
</NoncurrentVersionExpiration></Rule>
<Rule><Status>Disabled</Status><Prefix>old/</Prefix><Expiration><Date>2026-01-02T00:00:00Z</Date></Expiration></Rule>
<Rule><Status>Enabled</Status><Filter/>
<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
</LifecycleConfiguration>"""
RULES = (
    Rule("all", True, "logs/", {"a": "b"}, 0, 1000, days=30, noncurrent_days=7, newer=2),
    Rule("rule-2", False, "old/", date=1767312000.0),
    Rule("rule-3", True, markers=True, abort_days=3),
)


def rule(inner: str, status: str = "Enabled", place: str = "<Filter/>") -> bytes:
    text = f"<LifecycleConfiguration><Rule><Status>{status}</Status>{place}{inner}</Rule></LifecycleConfiguration>"
    return text.encode()


def days(number: object) -> str:
    return f"<Expiration><Days>{number}</Days></Expiration>"


def test_rules_are_read_kept_and_written() -> None:
    assert read_rules(FULL) == RULES
    assert unpack_rules(pack_rules(RULES)) == RULES
    assert unpack_rules("") == ()
    assert read_rules(xml.render("LifecycleConfiguration", rule_elements(RULES))) == RULES


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"<LifecycleConfiguration/>", Code.MalformedXML),
        (rule(""), Code.MalformedXML),
        (rule(days(1), "enabled"), Code.MalformedXML),
        (rule(days(1), place=""), Code.MalformedXML),
        (rule(days(1), place="<Prefix/><Filter/>"), Code.MalformedXML),
        (rule(days(0)), Code.InvalidArgument),
        (rule(days(-1)), Code.InvalidArgument),
        (rule(days("x")), Code.InvalidArgument),
        (rule(days("9" * 30)), Code.InvalidArgument),
        (rule("<Expiration><Days>1</Days><Date>2026-01-02T00:00:00Z</Date></Expiration>"), Code.MalformedXML),
        (rule("<Expiration><Date>2026-01-02T00:00:01Z</Date></Expiration>"), Code.InvalidArgument),
        (rule("<Expiration><Date>soon</Date></Expiration>"), Code.MalformedXML),
        (rule("<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"), Code.NotImplemented),
        (rule("<NoncurrentVersionExpiration><X/></NoncurrentVersionExpiration>"), Code.MalformedXML),
        (rule("<Unknown/>" + days(1)), Code.MalformedXML),
        (rule(days(1) + f"<ID>{'x' * 256}</ID>"), Code.InvalidArgument),
        (
            rule(
                "<AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload>",
                place="<Filter><Tag><Key>a</Key><Value>b</Value></Tag></Filter>",
            ),
            Code.MalformedXML,
        ),
        (FULL.replace(b"<ID>all</ID>", b"<ID>rule-2</ID>"), Code.InvalidArgument),
    ],
    ids=range(18),
)
def test_rules_that_are_refused(body: bytes, code: Code) -> None:
    with pytest.raises(S3Error) as caught:
        read_rules(body)
    assert caught.value.code is code


def test_things_expire_at_midnight() -> None:
    assert due(10 * DAY, 3) == 13 * DAY
    assert due(10 * DAY + 1, 3) == 14 * DAY


def version(modified: float, *, key: str = "logs/a", marker: bool = False, **more: object) -> ObjectInfo:
    info = ObjectInfo(
        key, 10, modified, "etag", "", int(modified), str(modified), delete_marker=marker, tags={"a": "b"}
    )
    return dataclasses.replace(info, **more)  # type: ignore[arg-type]


def test_current_versions_expire() -> None:
    info = version(5 * DAY)
    expired = [Expiry("current", info)]
    assert find_expired(RULES, [info], 35 * DAY) == expired
    assert find_expired(RULES, [info], 35 * DAY - 1) == []
    for other in (
        version(5 * DAY, key="other"),
        version(5 * DAY, tags={}),
        version(5 * DAY, size=0),
        version(5 * DAY, size=1000),
    ):
        assert find_expired(RULES, [other], 99 * DAY) == []
    old = version(5 * DAY, key="old/a")
    assert find_expired(RULES, [old], 99_999 * DAY) == []
    enabled = [msgspec.structs.replace(RULES[1], enabled=True)]
    assert find_expired(enabled, [old], 1767312000.0) == [Expiry("current", old)]
    assert find_expired(enabled, [old], 1767311999.0) == []
    assert find_expired(RULES, [], 99 * DAY) == []


def test_noncurrent_versions_expire_from_when_they_were_replaced() -> None:
    versions = [version(each * DAY) for each in (20, 10, 5, 4, 1)]
    assert find_expired(RULES, versions, 11 * DAY) == [Expiry("version", versions[4])]
    assert find_expired(RULES, versions, 12 * DAY) == [Expiry("version", versions[3]), Expiry("version", versions[4])]
    assert find_expired(RULES, versions, 49 * DAY) == [Expiry("version", each) for each in versions[3:]]
    marked = [version(20 * DAY, marker=True), *versions[1:3]]
    keep_none = [Rule("x", True, noncurrent_days=1)]
    assert find_expired(keep_none, marked, 21 * DAY) == [Expiry("version", each) for each in marked[1:]]
    assert find_expired(keep_none, marked, 20 * DAY) == [Expiry("version", marked[2])]


def test_a_marker_that_covers_nothing_is_removed() -> None:
    lone = version(5 * DAY, marker=True)
    assert find_expired(RULES, [lone], 6 * DAY) == [Expiry("version", lone)]
    assert find_expired(RULES, [lone, version(DAY)], 6 * DAY) == []


def test_uploads_expire() -> None:
    upload = UploadInfo("any", "u", 5 * DAY, PutOptions())
    assert upload_expires(RULES, upload, 8 * DAY)
    assert not upload_expires(RULES, upload, 8 * DAY - 1)
    assert not upload_expires(RULES[:2], upload, 99 * DAY)
