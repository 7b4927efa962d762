"""The documents that requests carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drystone.fleet.objects import Conditions
from drystone.fleet.s3 import bodies
from drystone.fleet.s3.errors import Code, S3Error
from drystone.testing.fleet.refusals import refusal

NOW = 1_790_000_000.0


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for read in (bodies.read_deletion, bodies.read_completion, bodies.read_versioning, bodies.read_lock_configuration):
        with pytest.raises(S3Error):
            read(data)


def test_documents() -> None:
    removals, quiet = bodies.read_deletion(
        b'<Delete><Quiet>true</Quiet><Object><Key> a </Key><VersionId>v</VersionId><ETag>"e"</ETag></Object></Delete>'
    )
    assert (removals, quiet) == ((bodies.Removal(" a ", "v", Conditions(if_match=("e",))),), True)
    sized = b"<Delete><Object><Key>a</Key><Size>5</Size></Object></Delete>"
    assert refusal(bodies.read_deletion, sized) is Code.NotImplemented
    part = b"<Part><PartNumber>%d</PartNumber><ETag>&quot;e&quot;</ETag></Part>"
    wrapped = b"<CompleteMultipartUpload>%s</CompleteMultipartUpload>"
    assert bodies.read_completion(wrapped % (part % 1 + part % 7)) == (bodies.Part(1, "e", {}), bodies.Part(7, "e", {}))
    for text in (part % 2 + part % 1, part % 1 + part % 1):
        assert refusal(bodies.read_completion, wrapped % text) is Code.InvalidPartOrder
    assert refusal(bodies.read_completion, wrapped % b"") is Code.MalformedXML
    assert (
        bodies.read_versioning(b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
        == "Enabled"
    )
    mfa = b"<VersioningConfiguration><MfaDelete>Enabled</MfaDelete></VersioningConfiguration>"
    assert refusal(bodies.read_versioning, mfa) is Code.NotImplemented
    assert bodies.read_retention(b"<Retention/>", NOW) == {}
    assert bodies.read_location(b"") == ""
    located = b"<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>"
    assert bodies.read_location(located) == "x"
