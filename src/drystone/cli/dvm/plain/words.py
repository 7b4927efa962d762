"""Command lines that can be read beyond doubt: options spelt whole, their values after a blank, one-value ones once.

All else, and all that is wrong, is left to click: help, `--name=value`, missing and bad values, words that are empty.
So there is nothing here that could say something else than click does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from drystone.base.errors import UsageError
from drystone.base.sizes import parse_size

Take = Callable[[str], object]
"""A word as a value; None when it is none, or none that is beyond doubt."""


class Line:
    """A tool's command line.

    :ivar place: `module:function` of this folder, which takes what was read, by name.
    :ivar arguments: names of the words without an option, all of which must be there, in their order.
    :ivar optional: the name of one more, which `defaults` has a value for; "" when there is none.
    :ivar rest: the name of all further ones, a tuple; "" when there are none. :ivar least: how many at least.
    :ivar behind: the name of the words behind `--`, which must be there then; "" for tools without.
    :ivar flags: spelling -> name of what is True when it is there.
    :ivar values: spelling -> name, and what makes a value of the word behind it.
    :ivar repeated: spelling -> name of a tuple of values. :ivar defaults: of what `values` names. What has none must be
        given.
    """

    __slots__ = ("arguments", "behind", "defaults", "flags", "least", "optional", "place", "repeated", "rest", "values")

    def __init__(
        self,
        place: str,
        arguments: tuple[str, ...] = (),
        *,
        optional: str = "",
        rest: str = "",
        least: int = 0,
        behind: str = "",
        flags: Mapping[str, str] | None = None,
        values: Mapping[str, tuple[str, Take]] | None = None,
        repeated: Mapping[str, str] | None = None,
        defaults: Mapping[str, object] | None = None,
    ) -> None:
        self.place = place
        self.arguments = arguments
        self.optional = optional
        self.rest = rest
        self.least = least
        self.behind = behind
        self.flags = flags or {}
        self.values = values or {}
        self.repeated = repeated or {}
        self.defaults = defaults or {}


def take_text(word: str) -> str | None:
    """Any word that cannot be an option; "-" is stdin."""
    return word if word == "-" or (word and not word.startswith("-")) else None


def take_size(word: str) -> int | None:
    """Bytes, as `base.sizes.parse_size` reads them."""
    try:
        return parse_size(word)
    except UsageError:
        return None


def take_one_of(*choices: str) -> Take:
    """One of `choices`."""
    return lambda word: word if word in choices else None


def read_line(words: Sequence[str], line: Line) -> dict[str, object] | None:
    """The values by their names; None: the words are for click."""
    own, after = list(words), list[str]()
    if line.behind:
        if "--" not in own:
            return None
        at = own.index("--")
        own, after = own[:at], own[at + 1 :]
        if not after:
            return None
    found: dict[str, object] = {}
    several: dict[str, list[object]] = {name: [] for name in line.repeated.values()}
    plain: list[str] = []
    coming = iter(own)
    for word in coming:
        if word in line.flags:
            found[line.flags[word]] = True
        elif word in line.repeated:
            value = take_text(next(coming, ""))
            if value is None:
                return None
            several[line.repeated[word]].append(value)
        elif word in line.values:
            name, take = line.values[word]
            taken = take(next(coming, ""))
            if taken is None or name in found:
                return None
            found[name] = taken
        elif take_text(word) is not None:
            plain.append(word)
        else:
            return None
    return _complete(line, found, several, plain, after)


def _complete(
    line: Line, found: dict[str, object], several: dict[str, list[object]], plain: list[str], after: list[str]
) -> dict[str, object] | None:
    """With what was not given; None when something is missing, or too much."""
    more = len(plain) - len(line.arguments)
    if more < line.least or (more > bool(line.optional) and not line.rest):
        return None
    chosen: dict[str, object] = {**dict.fromkeys(line.flags.values(), False), **line.defaults, **found}
    chosen.update({name: tuple(values) for name, values in several.items()})
    chosen.update(zip((*line.arguments, *([line.optional] if line.optional else [])), plain, strict=False))
    if line.rest:
        chosen[line.rest] = tuple(plain[len(line.arguments) :])
    if line.behind:
        chosen[line.behind] = tuple(after)
    return chosen if all(name in chosen for name, _ in line.values.values()) else None
