"""Command lines that can be read without click: a tool's flags spelt whole, values after a blank, nothing twice.

All else, and all that is wrong, is left to click: help, `--name=value`, short flags in one word, `--`, missing or bad
values. So there is nothing here that could say something else than click does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Take = Callable[[str], object]
"""A word as a value; None when it is none, or none that is beyond doubt."""


@dataclass(frozen=True, slots=True)
class PlainTool:
    """A tool's command line.

    :ivar place: `module:function`, which takes what was read, by name, and returns the exit code.
    :ivar arguments: names of the words without a flag, all of which must be there, in their order.
    :ivar flags: spelling -> name, and the value that stands for the flag.
    :ivar values: spelling -> name, and what makes a value of the word after it.
    :ivar defaults: the values of what is not given. What has none must be given.
    """

    place: str
    arguments: tuple[str, ...]
    flags: Mapping[str, tuple[str, object]]
    values: Mapping[str, tuple[str, Take]]
    defaults: Mapping[str, object]


def take_text(word: str) -> str | None:
    """Any word that cannot be a flag."""
    return word if word and not word.startswith("-") else None


def take_number(word: str) -> int | None:
    """Plain digits, and not so many that Python refuses them."""
    return int(word) if word.isascii() and word.isdigit() and len(word) <= _MOST_DIGITS else None


def take_one_of(*choices: str) -> Take:
    """One of `choices`."""
    return lambda word: word if word in choices else None


_MOST_DIGITS = 30


def read_plain(words: Sequence[str], tool: PlainTool) -> dict[str, object] | None:
    """The values by their names; None: the words are for click."""
    found: dict[str, object] = {}
    arguments: list[str] = []
    coming = iter(words)
    for word in coming:
        if word in tool.flags:
            name, value = tool.flags[word]
        elif word in tool.values:
            name, take = tool.values[word]
            value = take(next(coming, ""))
        elif take_text(word) is not None:
            arguments.append(word)
            continue
        else:
            return None
        if value is None or name in found:
            return None
        found[name] = value
    if len(arguments) != len(tool.arguments):
        return None
    chosen = {**tool.defaults, **found, **dict(zip(tool.arguments, arguments, strict=True))}
    wanted = {*tool.arguments, *tool.defaults, *(name for name, _ in (*tool.flags.values(), *tool.values.values()))}
    return chosen if chosen.keys() == wanted else None
