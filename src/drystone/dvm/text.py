"""The text form of programs: a line an instruction, for people to read and to write by hand.

    program 1
    device vol "DRYSTONE-1"
    load vol
      0 2048 linear 7:0 0
    jmp-fail undo-1
    suspend vol
    ...

The grammar is in docs/reference/programs.md. `parse_text(render_text(program)) == program` for every program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NoReturn

import msgspec

from drystone.base.errors import UsageError
from drystone.dvm.instructions import AnyInstruction, LiteralValue, Load
from drystone.dvm.program import VERSION, Needed, Program
from drystone.dvm.state import Line

_WORD = r'(?P<key>[a-z_]+=)?(?:(?P<quoted>"(?:[^"\\]|\\.)*")|(?P<bare>[^\s"=]+))(?=\s|$)'
"""A pattern, compiled when a text is read."""
_NEVER_BARE = ' "=#\\'
"""Of what is printable."""


class _Form(msgspec.Struct, frozen=True):
    """How an opcode is spelt: its positional fields, its `key=value` options, its flags (word -> field, value).

    Fields in `numbers` hold whole numbers. `quoted` fields are quoted always.
    """

    positional: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    flags: Mapping[str, tuple[str, bool]] = msgspec.field(default_factory=dict)
    numbers: frozenset[str] = frozenset({"offset", "sector", "event_nr"})
    quoted: frozenset[str] = frozenset({"text"})


_INSIST = {"insist": ("insist", True)}
_FORMS: dict[str, _Form] = {
    "version": _Form(),
    "target-versions": _Form(),
    "deps": _Form(("device",)),
    "status": _Form(("device",), flags={"noflush": ("no_flush", True)}),
    "table": _Form(("device",), flags={"inactive": ("inactive", True)}),
    "info": _Form(("device",)),
    "wait": _Form(("device", "event_nr")),
    "create": _Form(("device",), ("uuid",), _INSIST),
    "remove": _Form(("device",), flags=_INSIST),
    "rename": _Form(("device", "to"), flags=_INSIST),
    "suspend": _Form(("device",), flags={"noflush": ("no_flush", True), "nolockfs": ("lock_fs", False), **_INSIST}),
    "resume": _Form(("device",), flags=_INSIST),
    "load": _Form(("device",), flags={"readonly": ("read_only", True), **_INSIST}),
    "clear": _Form(("device",), flags=_INSIST),
    "message": _Form(("device", "text"), ("sector",), {"leftover": ("leftover", True), **_INSIST}),
    "write": _Form(("device", "offset", "hex"), flags=_INSIST),
    "flush": _Form(("device",), flags=_INSIST),
    "commit": _Form(("device", "offset", "hex")),
    "jmp": _Form(("label",)),
    "jmp-fail": _Form(("label",)),
    "jmp-errno": _Form(("errno", "label")),
    "clear-fail": _Form(),
    "label": _Form(("label",)),
    "exit": _Form(("outcome",)),
    "begin": _Form(("key",)),
    "end": _Form(),
    "note": _Form(("text",)),
}


def render_text(program: Program) -> str:
    """The text form of a program, with a newline at the end."""
    lines = [f"program {program.version}"]
    lines += [" ".join(["device", _word(each.name), *_words(each.uuid)]) for each in program.devices]
    lines += [render_instruction(each) for each in program.instructions]
    return "\n".join(lines) + "\n"


def render_instruction(instruction: AnyInstruction) -> str:
    """The text form of one instruction: a line, or for `load` several."""
    if isinstance(instruction, LiteralValue):
        value = msgspec.json.encode(instruction.value).decode()
        return f"literal {_word(instruction.key)} {value}"
    form = _FORMS[instruction.op]
    parts = [instruction.op]
    for name in form.positional:
        value = getattr(instruction, name)
        parts.append(_quote(value, ensure_ascii=False) if name in form.quoted else _word(str(value)))
    defaults = {info.name: info.default for info in msgspec.structs.fields(instruction)}
    for name in form.options:
        value = getattr(instruction, name)
        if value != defaults[name]:
            parts.append(f"{name}={_word(str(value))}")
    parts += [word for word, (name, value) in form.flags.items() if getattr(instruction, name) is value]
    text = " ".join(parts)
    if isinstance(instruction, Load):
        text += "".join(
            f"\n  {line.start} {line.length} {line.target} {line.params}".rstrip() for line in instruction.table
        )
    return text


def _word(text: str) -> str:
    is_bare = text and text.isprintable() and not any(each in text for each in _NEVER_BARE)
    return text if is_bare else _quote(text, ensure_ascii=True)


def _quote(text: str, *, ensure_ascii: bool) -> str:
    import json  # programs are run without being spelt

    return json.dumps(text, ensure_ascii=ensure_ascii)


def _words(text: str) -> list[str]:
    return [_word(text)] if text else []


def parse_text(text: str, what: str = "program") -> Program:
    """A program from its text form.

    :raises UsageError: with the line's number and what was expected there.
    """
    return _Parser(text, what).parse()


_BEGINNING = f"a program is a JSON object, or text whose first line is `program {VERSION}`"


class _Parser:
    """Reads lines from the top. `number` is that of the line being read, from 1."""

    def __init__(self, text: str, what: str) -> None:
        self.lines = text.split("\n")
        self.what = what
        self.number = 0

    def fail(self, message: str, hint: str = "") -> NoReturn:
        raise UsageError(f"{self.what}: line {self.number}: {message}", hint=hint, line=self.number)

    def parse(self) -> Program:
        instructions: list[AnyInstruction] = []
        devices: list[Needed] = []
        has_begun = False
        while (line := self.next_line()) is not None:
            if line[0].isspace():
                self.fail("an indented line follows `load` only", "begin the line with an opcode")
            opcode, _, rest = line.partition(" ")
            if not has_begun:
                if line.split() != ["program", str(VERSION)]:
                    self.fail(f"`program {VERSION}` was expected, {line[:40]!r} is there", _BEGINNING)
                has_begun = True
            elif opcode == "device":
                if instructions:
                    self.fail("`device` lines stand before the first instruction")
                devices.append(self.device(rest))
            elif opcode == "literal":
                instructions.append(self.literal(rest))
            else:
                instructions.append(self.instruction(opcode, rest))
        if not has_begun:
            self.fail(f"`program {VERSION}` was expected, nothing is there", _BEGINNING)
        return Program(tuple(instructions), tuple(devices))

    def next_line(self) -> str | None:
        """The next line that says something, without blanks at its end."""
        while self.number < len(self.lines):
            line = self.lines[self.number].rstrip()
            self.number += 1
            if line and not line.lstrip().startswith("#"):
                return line
        return None

    def device(self, rest: str) -> Needed:
        words = [value for key, value in self.words(rest) if key == ""]
        if not 1 <= len(words) <= 2 or len(words) != len(self.words(rest)):
            self.fail("`device NAME [UUID]` was expected")
        return Needed(*words)

    def literal(self, rest: str) -> LiteralValue:
        match = re.match(_WORD, rest.strip())
        if match is None or match["key"]:
            self.fail("`literal KEY JSON` was expected")
        try:
            value = msgspec.json.decode(rest.strip()[match.end() :])
        except msgspec.DecodeError as error:
            self.fail(f"`literal KEY JSON` was expected: {error}")
        return LiteralValue(self.value(match), value)

    def instruction(self, opcode: str, rest: str) -> AnyInstruction:
        form = _FORMS.get(opcode)
        if form is None:
            self.fail(f"opcode {opcode[:40]!r} is not known", "one of " + ", ".join([*_FORMS, "literal"]))
        usage = " ".join(
            [opcode, *(name.upper() for name in form.positional), *(f"[{name}=...]" for name in form.options)]
            + [f"[{word}]" for word in form.flags]
        )
        document: dict[str, object] = {"op": opcode}
        waiting = list(form.positional)
        for key, value in self.words(rest):
            if key:
                if key not in form.options:
                    self.fail(f"{opcode} has no option {key!r}", usage)
                name = key
            elif waiting:
                name = waiting.pop(0)
            elif value in form.flags:
                name, document_value = form.flags[value]
                document[name] = document_value
                continue
            else:
                self.fail(f"{value[:40]!r} was not expected after {opcode}", usage)
            document[name] = self.whole(name, value) if name in form.numbers else value
        if waiting:
            self.fail(f"{waiting[0]} is missing after {opcode}", usage)
        if opcode == "load":
            document["table"] = self.table()
        try:
            instruction: AnyInstruction = msgspec.convert(document, type=AnyInstruction)
        except msgspec.ValidationError as error:
            self.fail(str(error), usage)
        return instruction

    def table(self) -> list[dict[str, object]]:
        """The indented lines that follow."""
        lines: list[dict[str, object]] = []
        while self.number < len(self.lines):
            line = self.lines[self.number].rstrip()
            if not line or not line[0].isspace() or line.lstrip().startswith("#"):
                break
            self.number += 1
            words = line.split(None, 3)
            if len(words) < 3:
                self.fail("`START LENGTH TARGET [PARAMETERS]` was expected")
            start, length = (self.whole(name, word) for name, word in zip(("start", "length"), words, strict=False))
            params = words[3] if len(words) > 3 else ""
            lines.append(msgspec.to_builtins(Line(start, length, words[2], params)))
        return lines

    def words(self, rest: str) -> list[tuple[str, str]]:
        """(key, value) of each word; the key is "" where none is written."""
        found: list[tuple[str, str]] = []
        at = 0
        rest = rest.strip()
        while at < len(rest):
            match = re.compile(_WORD).match(rest, at)
            if match is None:
                self.fail(f"{rest[at : at + 40]!r} is neither a word nor a quoted text", 'quote as in "a b"')
            found.append(((match["key"] or "")[:-1], self.value(match)))
            at = match.end()
            while at < len(rest) and rest[at].isspace():
                at += 1
        return found

    def value(self, match: re.Match[str]) -> str:
        if match["bare"] is not None:
            return match["bare"]
        import json  # where programs are read as text

        try:
            value = json.loads(match["quoted"])
        except ValueError as error:
            self.fail(f"{match['quoted'][:40]} is no JSON text: {error}")
        assert isinstance(value, str)
        return value

    def whole(self, name: str, word: str) -> int:
        if not (word.isascii() and word.isdigit() and len(word) <= 19):
            self.fail(f"{name} is a whole number, {word[:40]!r} is there")
        return int(word)
