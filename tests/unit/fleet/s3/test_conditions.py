"""If-Match and its kin."""

from __future__ import annotations

from drystone.fleet.objects import Conditions, ObjectInfo
from drystone.fleet.s3.conditions import check_copy_source, check_read, check_write
from drystone.fleet.s3.errors import Code
from drystone.testing.fleet.refusals import refusal

INFO = ObjectInfo("key", 10, 1000.9, "etag", "", 1)


def test_conditions_of_reads() -> None:
    check_read(Conditions(), INFO)
    check_read(Conditions(if_match=("x", "etag")), INFO)
    check_read(Conditions(if_match=("*",), if_none_match=("x",)), INFO)
    check_read(Conditions(if_unmodified_since=1000.0, if_modified_since=999.0), INFO)
    check_read(Conditions(if_match=("etag",), if_unmodified_since=1.0), INFO)
    check_read(Conditions(if_none_match=("x",), if_modified_since=5000.0), INFO)
    for failing in (Conditions(if_match=("x",)), Conditions(if_unmodified_since=999.0)):
        assert refusal(check_read, failing, INFO) is Code.PreconditionFailed
    for same in (
        Conditions(if_none_match=("etag",)),
        Conditions(if_none_match=("*",)),
        Conditions(if_modified_since=1000.0),
    ):
        assert refusal(check_read, same, INFO) is Code.NotModified
        assert refusal(check_copy_source, same, INFO) is Code.PreconditionFailed


def test_conditions_of_writes() -> None:
    marker = ObjectInfo("key", 0, 0.0, "", "", 2, delete_marker=True)
    for absent in (None, marker):
        check_write(Conditions(), absent)
        check_write(Conditions(if_none_match=("*",)), absent)
        assert refusal(check_write, Conditions(if_match=("*",)), absent) is Code.NoSuchKey
    check_write(Conditions(if_match=("etag",)), INFO)
    check_write(Conditions(if_match=("*",), if_none_match=("x",)), INFO)
    for failing in (Conditions(if_match=("x",)), Conditions(if_none_match=("*",)), Conditions(if_none_match=("etag",))):
        assert refusal(check_write, failing, INFO) is Code.PreconditionFailed
