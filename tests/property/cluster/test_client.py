"""Whatever stands where the API should be: an answer of the right form, or one error in a line."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from drystone.base.errors import DrystoneError
from drystone.cli.cluster.asking import read_as
from drystone.cluster.client.api import Api, place
from drystone.cluster.client.waiting import RULES, Goal, Seen
from drystone.cluster.model.dlv import Dlv
from drystone.cluster.model.dpv import Dpv
from drystone.cluster.model.job import Job

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_NAMES = st.text() | st.sampled_from(
    ["code", "detail", "hint", "facts", "status", "title", "request_id", "items", "next", "name", "errno", "device"]
)
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=6), max_leaves=16
)
_KINDS = {kind.code for kind in DrystoneError.__subclasses__()} | {"failed"}
_PROBLEMS = st.fixed_dictionaries(
    {}, optional={"code": st.sampled_from(sorted(_KINDS)), "detail": _LEAVES, "hint": _LEAVES, "facts": _VALUES}
)
_BODIES = st.binary() | (_VALUES | _PROBLEMS).map(lambda each: json.dumps(each).encode())


class Somebody:
    """Answers one thing."""

    url = "http://a"

    def __init__(self, status: int, data: bytes) -> None:
        self._answer = status, data

    def send(self, *_: object) -> tuple[int, bytes]:
        return self._answer


@given(st.integers(100, 599), _BODIES)
@example(409, b'{"code": "kernel", "facts": {"operation": 5, "errno": "x", "device": []}}')
@example(404, b'{"code": "not-found", "facts": {"message": 1, "hint": 2, "self": 3}}')
def test_an_answer_is_read_or_told_in_one_error(status: int, data: bytes) -> None:
    api = Api([Somebody(status, data)], "token", patience=0)
    try:
        reply = api.get("/dlvs")
        document = reply.document()
        for kind in (Dlv, Dpv, Job, Seen):
            read: Any = read_as(document, kind)
            assert isinstance(read, kind)
    except DrystoneError as error:
        text = str(error)
    else:
        text = ""
    assert text.isprintable()


@given(st.text(), st.text(), st.sampled_from([(kind, wish) for kind, wishes in RULES.items() for wish in wishes]))
def test_every_state_is_judged(status: str, reason: str, what: tuple[str, str]) -> None:
    goal = Goal(what[0], "db@a" if what[0] == "snapshot" else "db", what[1])
    for seen in (Seen(status, reason, "h1", "h1"), None):
        assert goal.judge(seen) in {"done", "pending", "failed"}
        assert goal.spell(seen)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=3))
def test_a_path_has_as_many_parts_as_it_was_given(parts: list[str]) -> None:
    from urllib.parse import unquote

    assert [unquote(each) for each in place(*parts).split("/")[1:]] == parts
