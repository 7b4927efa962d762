"""Group documents with random damage: refused in words, or whole enough for everything that reads them."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from drystone.base.documents import encode
from drystone.base.errors import UsageError
from drystone.dvm.groups.allocation import free_room
from drystone.dvm.groups.group import Group
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.layers import cache, crypt, era
from drystone.dvm.metadata.move import begin
from drystone.dvm.metadata.snapshot import snapshot
from drystone.dvm.metadata.thin import thin, thin_pool
from drystone.dvm.reports.live import Live
from drystone.dvm.reports.lvm_report import lvm_report
from drystone.dvm.reports.report import REPORTS, Subject, report
from drystone.dvm.state import check_state
from drystone.dvm.volactivate import activate, blanks, paths_of
from drystone.testing.groups import ids, make_group

MIB = 1 << 20


def group_of_everything() -> Group:
    make = ids()
    group = make_group(6)
    for kind in ("linear", "striped", "raid1", "raid5", "raid6", "raid10"):
        group = create(group, Wish(f"v-{kind}", 4 * MIB), make, kind)
    group = thin(thin_pool(group, "pool", 4 * MIB, make), "pool", ["t1", "t2"], 8 * MIB, make)
    group = snapshot(group, "t1", "t3", make, join=True)
    group = snapshot(group, "v-linear", "snap", make, size=MIB)
    group = cache(group, "v-raid1", MIB, make)
    group = crypt(era(group, "v-raid5", make), "v-raid6", "logon:db", make, lose_data=True)
    return begin(group, "disk0", volumes=["v-linear", "v-striped"])


WHOLE = encode(group_of_everything())
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 1 << 70),
    st.sampled_from([0, 1, 4096, MIB, 1 << 62, "", "disk1", "v-linear", "db:data0", [], {}]),
    st.text(max_size=5),
)


def paths(document: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in the document."""
    found = [at] if at else []
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        found += paths(value, (*at, key))
    return found


def parent(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damaged_documents(data: st.DataObject) -> None:
    document = json.loads(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        path, other = (data.draw(st.sampled_from(paths(document))) for _ in range(2))
        holder = parent(document, path)
        how = data.draw(st.sampled_from(["drop", "replace", "copy", "nudge"]))
        if how == "drop":
            del holder[path[-1]]
        elif how == "replace":
            holder[path[-1]] = data.draw(values)
        elif how == "nudge" and isinstance(holder[path[-1]], int):
            holder[path[-1]] += data.draw(st.integers(-2, 2))
        elif how == "copy" and path[: len(other)] != other:
            holder[path[-1]] = json.loads(json.dumps(parent(document, other)[other[-1]]))
    try:
        group = parse_group(json.dumps(document))
    except UsageError:
        event("refused")
        return
    event("whole")
    assert parse_group(encode(group)) == group
    free_room(group)
    blanks(None, group, paths_of(group))
    check_state(activate(group, paths_of(group)).state)
    activate(group, {})
    lvm_report(report(Subject(group, paths_of(group), Live(), parts=True), tuple(REPORTS)))


def test_the_document_is_whole_before_it_is_damaged() -> None:
    assert encode(parse_group(WHOLE)) == WHOLE
