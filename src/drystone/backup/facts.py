"""What a backup's manifest tells of its source, for the next backup: numbers of a state, as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from drystone.backup.format.manifest import Head
from drystone.base.errors import DamagedError

State = TypeVar("State")


def write_numbers(state: object, names: Mapping[str, str]) -> dict[str, str]:
    """The facts of a state. :param names: key of a fact -> field of the state."""
    return {key: str(getattr(state, name)) for key, name in names.items()}


def read_numbers(about: Mapping[str, str], names: Mapping[str, str], source: str) -> dict[str, int]:
    """The fields of a state, out of facts that `write_numbers` made. :raises DamagedError: they make none."""
    try:
        return {name: int(about[key]) for key, name in names.items()}
    except (KeyError, ValueError) as error:
        raise DamagedError(f"the backup's facts of its {source} are wrong: {error}") from error


def find_state(head: Head, read: Callable[[dict[str, str]], State | None], source: str) -> tuple[State | None, str]:
    """The state among a backup's facts, or why there is none.

    :param read: makes it of facts; None: there are none of such a source.
    """
    try:
        state = read(head.about)
    except DamagedError as error:
        return None, error.message
    return state, "" if state is not None else f"backup {head.backup} does not tell of {source}"
