"""What a bucket's settings say."""

from __future__ import annotations

from drystone.fleet.s3.settings import DefaultLock, bucket_tags, default_lock, versioning


def test_settings() -> None:
    assert [versioning({"versioning": text}) for text in ("Enabled", "Suspended", "x")] == ["Enabled", "Suspended", ""]
    assert versioning({}) == ""
    assert versioning({"versioning": "Suspended", "lock": "{}"}) == "Enabled", "else a put would remove what is locked"
    assert default_lock({}) is None
    assert default_lock({"lock": '{"mode":"GOVERNANCE","years":1}'}) == DefaultLock("GOVERNANCE", 0, 1)
    assert DefaultLock("GOVERNANCE", 2, 0).seconds() == 172800
    assert (bucket_tags({}), bucket_tags({"tags": '{"a":"b"}'})) == ({}, {"a": "b"})
