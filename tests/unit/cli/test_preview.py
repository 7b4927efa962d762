"""`--dry-run` as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from drystone.base.documents import encode
from drystone.base.errors import DrystoneError, UsageError
from drystone.cli.preview import print_previews, render_preview
from drystone.dvm.check import check
from drystone.dvm.program import Program, parse_program
from drystone.dvm.state import Device, Line, State
from drystone.dvm.text import parse_text
from drystone.volumes.documents import PreviewDocument
from drystone.wire.client import Answer

Read = Callable[[], str]


@pytest.fixture
def program() -> Program:
    from drystone.dvm.dmactivate import activate

    return activate(State(()), State((Device("one", "U-1", (Line(0, 16, "zero"),)),)))


@pytest.fixture
def out(capsys: pytest.CaptureFixture[str]) -> Read:
    return lambda: capsys.readouterr().out


def answer(*parts: dict[str, object]) -> Answer:
    return Answer(json.dumps(parts), "application/json")


def part(program: Program | None, title: str = "") -> dict[str, object]:
    document = None if program is None else json.loads(encode(program))
    return {"title": title, "words": ["1. a step", "then: mkfs.ext4 /dev/x"], "program": document}


def test_text_is_comments_and_the_program(program: Program, out: Read) -> None:
    print_previews([answer(part(program, "volume db"))], as_json=False)
    text = out()
    assert text.startswith("# volume db\n# 1. a step\n# then: mkfs.ext4 /dev/x\nprogram 1\n")
    assert parse_text(text) == program


def test_without_program_only_words() -> None:
    assert render_preview(PreviewDocument("", ("nothing: it is there",), None)) == "# nothing: it is there\n"


def test_json_is_one_array_and_its_programs_are_programs(program: Program, out: Read) -> None:
    print_previews([answer(part(program, "a"), part(None)), answer(part(program))], as_json=True)
    document = json.loads(out())
    assert [each["title"] for each in document] == ["a", "", ""]
    assert document[1] == part(None)
    again = parse_program(json.dumps(document[0]["program"]))
    check(again)
    assert again == program


def test_a_refusal_after_some_leaves_no_half_of_an_array(program: Program, out: Read) -> None:
    def answers() -> Iterator[Answer]:
        yield answer(part(program))
        raise UsageError("no")

    with pytest.raises(UsageError):
        print_previews(answers(), as_json=True)
    assert not out()
    with pytest.raises(UsageError):
        print_previews(answers(), as_json=False)
    assert "program 1" in out()


@pytest.mark.parametrize("text", ["", "# 1. a step\nprogram 1\n", "{}", "[1]", '[{"title": "", "words": "x"}]'])
def test_an_answer_that_is_no_preview(text: str) -> None:
    with pytest.raises(DrystoneError, match="the daemon's answer") as caught:
        print_previews([Answer(text, "text/plain")], as_json=True)
    assert "same version" in caught.value.hint


def test_a_program_of_another_version_is_not_rendered(program: Program) -> None:
    document = {**json.loads(encode(program)), "version": 2}
    with pytest.raises(UsageError, match="version 2"):
        render_preview(PreviewDocument("", (), document))
