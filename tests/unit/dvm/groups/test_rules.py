from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from drystone.base.documents import encode
from drystone.base.errors import UsageError
from drystone.dvm.groups.group import Group
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.layers import cache
from drystone.dvm.metadata.snapshot import snapshot
from drystone.dvm.metadata.thin import thin, thin_pool
from drystone.testing.groups import ids, make_group

MIB = 1 << 20


def group_of_everything() -> Group:
    """lin, two (striped), safe (raid1), pool with t1 and t2, and a snapshot `snap` of lin; `fast` has a cache."""
    make = ids()
    group = create(make_group(), Wish("lin", 4 * MIB), make)
    group = create(group, Wish("two", 4 * MIB, 2), make, "striped")
    group = create(group, Wish("safe", 4 * MIB), make, "raid1")
    group = thin_pool(group, "pool", 8 * MIB, make)
    group = thin(group, "pool", ["t1", "t2"], 64 * MIB, make)
    group = snapshot(group, "lin", "snap", make, size=2 * MIB)
    group = create(group, Wish("fast", 4 * MIB), make)
    return cache(group, "fast", 2 * MIB, make)


def volume(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in document["volumes"] if each["name"] == name)
    return found


def test_a_whole_group_survives_its_own_text() -> None:
    group = group_of_everything()
    assert parse_group(encode(group)) == group
    assert json.loads(encode(group))["schema"] == "drystone.dvm.group"


def change(which: str, /, **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: volume(document, which).update(fields)


def move_run(name: str, **fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: volume(document, name)["segments"][0].update(fields)


def top(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update(fields)


def disk(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["devices"][0].update(fields)


def drop(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["volumes"].remove(volume(document, name))


BROKEN: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda document: document.pop("schema"), "schema"),
    (top(schema="drystone.dvm.groups"), "schema"),
    (top(schema=""), "schema"),
    (top(version=2), "version 2"),
    (top(unknown=1), "unknown"),
    (top(name="-vg"), "name '-vg'"),
    (top(extent_size=3 * MIB), "an extent of 3145728 bytes"),
    (top(extent_size=2048), "an extent of 2048 bytes"),
    (top(tags=["a b"]), "cannot be a tag"),
    (top(uuid="../.."), "cannot be a uuid"),
    (disk(uuid="disk1"), "two devices have the uuid 'disk1'"),
    (disk(path="/dev/disk1"), "two devices are at '/dev/disk1'"),
    (disk(path="disk0"), "is no path"),
    (disk(path="/dev/my disk"), "is no path"),
    (disk(start=100), "cannot begin at byte 100"),
    (disk(start=-4096), "cannot begin"),
    (disk(extents=65), "65 extents have no room"),
    (disk(extents=2), "are not within the 2"),
    (change("lin", name="two"), "two volumes are called 'two'"),
    (change("lin", name="x" * 101), "characters"),
    (change("lin", name="a:b"), "not valid"),
    (change("lin", size=4 * MIB + 512), "not whole extents"),
    (change("lin", size=5 * MIB), "its extents or parts make 4194304"),
    (change("lin", size=0), "not whole extents"),
    (move_run("lin", device="disk9"), "'disk9' is not there"),
    (move_run("lin", begin=62), "not within the 64"),
    (move_run("lin", begin=-1), "not within"),
    (move_run("lin", count=0), "not within"),
    (move_run("lin", begin=4), "belongs to"),
    (move_run("lin", to={"device": "disk1", "begin": 0}), "belongs to"),
    (change("two", chunk=3 * 4096), "a chunk of 12288"),
    (change("two", chunk=2 * MIB), "a chunk of"),
    (lambda document: volume(document, "two")["rows"][0]["legs"].pop(), "two legs at least"),
    (lambda document: volume(document, "two")["rows"][0]["legs"][0].update(count=1), "all of one length"),
    (lambda document: volume(document, "safe")["legs"].pop(), "raid1 of 1 legs"),
    (change("safe", region=5000), "a region of 5000"),
    (drop("safe:data1"), "is not there"),
    (drop("safe"), "what it is a part of is not there"),
    (change("safe:data1", part_of=None), "not marked as its part"),
    (change("safe:data1", name="safe-data1"), "cannot be the name of a part"),
    (change("pool", block=100), "a block of 100"),
    (change("pool", next_id=1), "not below the next one"),
    (change("pool", messages=["set_transaction_id 0 1"]), "cannot be in a transaction"),
    (change("pool", messages=["create_thin 0", "create_thin 0"]), "twice"),
    (change("t2", dev_id=0), "have the thin id 0"),
    (change("t2", pool="nowhere"), "is not there, or no thin pool"),
    (change("t2", origin="nowhere"), "its origin 'nowhere'"),
    (change("snap", origin="nowhere"), "its origin 'nowhere'"),
    (change("snap", chunk=5), "a chunk of 5"),
    (change("snap", size=8 * MIB), "its extents or parts make 4194304"),
    (change("fast", mode="writearound"), "mode 'writearound'"),
    (change("fast", block=1000), "a block of 1000"),
    (change("fast", kind="linear"), "unknown field `base`"),
]


@pytest.mark.parametrize(("damage", "words"), BROKEN, ids=[f"{at}-{words}" for at, (_, words) in enumerate(BROKEN)])
def test_what_is_not_whole_is_refused_in_words(damage: Callable[[dict[str, Any]], object], words: str) -> None:
    document = json.loads(encode(group_of_everything()))
    damage(document)
    with pytest.raises(UsageError) as caught:
        parse_group(json.dumps(document))
    assert words in str(caught.value)


def test_nothing_is_a_part_of_itself() -> None:
    document = json.loads(encode(group_of_everything()))
    fast = volume(document, "fast")
    base = volume(document, "fast:base")
    # A cache whose base is another cache of which it is the base in turn.
    other = {**fast, "name": "fast:base", "uuid": base["uuid"], "part_of": fast["uuid"], "base": fast["uuid"]}
    document["volumes"][document["volumes"].index(base)] = other
    with pytest.raises(UsageError):
        parse_group(json.dumps(document))


@pytest.mark.parametrize("text", [b"", b"null", b"[]", b"{", b'{"schema": 1}', b"\xff\xfe", b"[" * 100000])
def test_nonsense_is_refused(text: bytes) -> None:
    with pytest.raises(UsageError):
        parse_group(text)
