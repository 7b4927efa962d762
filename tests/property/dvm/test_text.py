"""Every program survives its text form and its JSON; nonsense is refused in words, never by a crash."""

from __future__ import annotations

import contextlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from drystone.base.documents import encode
from drystone.base.errors import UsageError
from drystone.dvm.check import check
from drystone.dvm.describe import describe
from drystone.dvm.instructions import (
    AnyInstruction,
    Begin,
    Clear,
    ClearFail,
    Commit,
    Create,
    Deps,
    End,
    Exit,
    Flush,
    Info,
    Jmp,
    JmpErrno,
    JmpFail,
    Label,
    LiteralValue,
    Load,
    Message,
    Note,
    Remove,
    Rename,
    Resume,
    Status,
    Suspend,
    Table,
    TargetVersions,
    Version,
    Wait,
    Write,
)
from drystone.dvm.program import Needed, Program, parse_program
from drystone.dvm.state import Line, parse_state
from drystone.dvm.text import parse_text, render_text

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
word = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=8)
number = st.integers(0, 1 << 62)
flag = st.booleans()
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | flag | st.integers(-(1 << 40), 1 << 40) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=6,
)
lines = st.builds(Line, number, number, word, st.lists(word, max_size=3).map(" ".join))

instructions: st.SearchStrategy[AnyInstruction] = st.one_of(
    st.sampled_from([Version(), TargetVersions(), ClearFail(), End(), Exit("done"), Exit("unwound"), Exit("failed")]),
    st.one_of([st.builds(kind, text) for kind in (Deps, Info, Begin, Label, Jmp, JmpFail, Note)]),
    st.builds(Status, text, flag),
    st.builds(Table, text, flag),
    st.builds(Wait, text, number),
    st.builds(Create, text, text, flag),
    st.one_of([st.builds(kind, text, flag) for kind in (Remove, Resume, Clear, Flush)]),
    st.builds(Rename, text, text, flag),
    st.builds(Suspend, text, flag, flag, flag),
    st.builds(Load, text, st.lists(lines, max_size=3).map(tuple), flag, flag),
    st.builds(Message, text, text, number, flag, flag),
    st.builds(Write, text, number, text, flag),
    st.builds(Commit, text, number, text),
    st.builds(JmpErrno, text, text),
    st.builds(LiteralValue, text, values),
)
programs = st.builds(
    Program,
    st.lists(instructions, max_size=6).map(tuple),
    st.lists(st.builds(Needed, text, text), max_size=3).map(tuple),
)


@settings(max_examples=400, deadline=None)
@given(programs)
def test_text_and_json_give_the_program_back(program: Program) -> None:
    assert parse_text(render_text(program)) == program
    assert parse_program(encode(program)) == program


@settings(max_examples=300, deadline=None)
@given(programs)
def test_the_check_and_the_description_take_any_program(program: Program) -> None:
    describe(program)
    with contextlib.suppress(UsageError):
        check(program)


snippets = st.lists(
    st.sampled_from(
        [
            "program 1\n",
            "load a",
            "\n",
            "  0 8 zero",
            " ",
            '"',
            "\\",
            "insist",
            "literal k ",
            "{",
            "}",
            "uuid=",
            "#",
            "device ",
            "note ",
            "7",
        ]
    )
    | text,
    max_size=12,
).map("".join)


@settings(max_examples=500, deadline=None)
@given(snippets)
def test_nonsense_is_refused_in_words(nonsense: str) -> None:
    for source in (nonsense, "program 1\n" + nonsense):
        for parse in (parse_text, parse_program, parse_state):
            with contextlib.suppress(UsageError):
                parse(source)
