"""`{name}`: how the tables of a document name other devices of it.

A reference is one word of a table's parameters. What a target puts around it stays: the word is either the whole
reference or nothing of it. References are turned into major:minor when a table is loaded, and back when it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from drystone.base.characters import DIGITS, is_made_of
from drystone.base.errors import UsageError
from drystone.kernel.dm.abc import DeviceNumber

LONGEST_NAME = 127
"""Bytes in a device-mapper name: DM_NAME_LEN (128) less its end."""
LONGEST_UUID = 128
"""Bytes in a device-mapper UUID: DM_UUID_LEN (129) less its end."""

_NEVER_IN_NAMES = " /{}"
"""Of what is printable."""


def check_device_name(name: str, what: str = "device name") -> str:
    """`name` itself, when a document can hold it: no blanks, braces, slashes or control characters, 1 to 127 bytes.

    :raises UsageError: otherwise.
    """
    if name in ("", ".", "..") or not name.isprintable() or any(each in name for each in _NEVER_IN_NAMES):
        raise UsageError(
            f"{what} {name!r} cannot stand in a document",
            hint="one or more printable characters without blanks, slashes and braces",
        )
    if len(name.encode(errors="replace")) > LONGEST_NAME:
        raise UsageError(f"{what} {name[:20]!r}... is longer than device-mapper's {LONGEST_NAME} bytes")
    return name


def check_uuid(uuid: str, name: str) -> str:
    """`uuid` itself, when device-mapper takes it: printable, no blanks, up to 128 bytes; "" for none.

    :raises UsageError: otherwise.
    """
    # Of what is printable only the blank is a space.
    if uuid and (not uuid.isprintable() or " " in uuid or len(uuid.encode(errors="replace")) > 128):
        raise UsageError(f"the uuid of {name!r} is not printable text of at most {LONGEST_UUID} bytes")
    return uuid


def names_in(params: str) -> tuple[str, ...]:
    """The names that `params` refers to, in order, each as often as it stands there."""
    if "{" not in params:
        return ()
    found = (_name_in(word) for word in params.split())
    return tuple(name for name in found if name is not None)


def paths_in(params: str) -> tuple[str, ...]:
    """The words of `params` that are absolute paths."""
    return tuple(word for word in params.split() if word.startswith("/"))


def with_names_replaced(params: str, number_of: Callable[[str], str]) -> str:
    """`params` with every reference replaced by what `number_of` gives for its name."""
    words = params.split()
    if "{" not in params:
        return " ".join(words)
    for position, word in enumerate(words):
        name = _name_in(word)
        if name is not None:
            words[position] = number_of(name)
    return " ".join(words)


def with_paths_replaced(params: str, number_of: Callable[[str], str]) -> str:
    """`params` with every absolute path replaced by what `number_of` gives for it."""
    return " ".join(number_of(word) if word.startswith("/") else word for word in params.split())


def with_numbers_replaced(params: str, names: Mapping[DeviceNumber, str]) -> str:
    """`params` with the numbers of devices in `names` turned into references; blanks at the ends are dropped."""
    words = params.split()
    for position, word in enumerate(words):
        major, _, minor = word.partition(":")
        if is_made_of(major, DIGITS, 4) and is_made_of(minor, DIGITS, 7):
            name = names.get(DeviceNumber(int(major), int(minor)))
            if name is not None:
                words[position] = f"{{{name}}}"
    return " ".join(words)


def _name_in(word: str) -> str | None:
    """The name, when the word is a reference: "" for `{}`."""
    name = word[1:-1]
    return name if len(word) > 1 and word[0] + word[-1] == "{}" and "{" not in name and "}" not in name else None
