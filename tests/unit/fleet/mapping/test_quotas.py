"""Buckets that hold as much as they may."""

import msgspec

from drystone.fleet.documents import Bucket
from drystone.fleet.mapping.model import BucketChange
from drystone.fleet.mapping.quotas import review_quotas
from drystone.testing.fleet.sketch import Sketch, copy_on


def decided(sketch: Sketch) -> list[bool]:
    return [each.bucket.full for each in review_quotas(sketch.view()) if isinstance(each, BucketChange)]


def test_a_bucket_is_full_at_its_quota_and_no_more_below_it() -> None:
    sketch = Sketch()
    for host in ("one", "two"):
        sketch.place(host, copy_on("s1/1"), copy_on("s2/1"))
    placements = list(sketch.model.placements.values())
    for server, size in (("s1", 3), ("s2", 2)):  # copies count once, by the larger account
        sketch.hear(server, held=[sketch.hold(each, f"{server}-1", objects=size) for each in placements])
    sketch.model.buckets["ns"] = Bucket("ns", "shared", "", 0.0, quota=601)
    assert decided(sketch) == []
    full = Bucket("ns", "shared", "", 0.0, quota=600)
    sketch.model.buckets["ns"] = full
    assert decided(sketch) == [True]
    sketch.model.buckets["ns"] = msgspec.structs.replace(full, full=True)
    assert decided(sketch) == []
    sketch.model.buckets["ns"] = msgspec.structs.replace(full, full=True, quota=0)
    assert decided(sketch) == [False]


def test_without_a_quota_nothing_is_decided() -> None:
    assert decided(Sketch()) == []
