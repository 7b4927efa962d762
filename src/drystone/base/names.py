"""Names that people give, and UUIDs that we give."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from drystone.base.characters import WORD, is_made_of
from drystone.base.errors import NotFoundError, UsageError

LONGEST_NAME = 100
"""Characters: with a prefix of ours it stays below device-mapper's limit of 127."""


def check_name(name: str, what: str = "name") -> str:
    """`name` itself, when it is `[a-zA-Z0-9][a-zA-Z0-9_.-]+` and at most LONGEST_NAME characters.

    :raises UsageError: otherwise.
    """
    if len(name) < 2 or name[0] not in WORD or not is_made_of(name, f"{WORD}_.-"):
        raise UsageError(
            f"{what} {name!r} is not valid",
            hint="two or more of a-z A-Z 0-9 _ . -, the first one a letter or digit",
        )
    if len(name) > LONGEST_NAME:
        raise UsageError(f"{what} {name[:20]!r}... has {len(name)} characters, {LONGEST_NAME} are allowed")
    return name


def new_uuid() -> str:
    """A random UUID in its usual 36-character spelling."""
    return str(uuid.uuid4())


def find_by_reference(reference: str, entries: Iterable[tuple[str, str]], what: str, *, shared: bool = False) -> str:
    """The UUID that `reference` means among (uuid, name) pairs: a UUID, a name, or the beginning of one UUID.

    A whole UUID wins over a name, a name over a beginning.

    :param shared: several may have one name, and such a name is refused; else the first that has it is meant.
    :raises NotFoundError: nothing matches. :raises UsageError: a beginning that several share, such a name, or "".
    """
    pairs = list(entries)
    if not reference:
        raise UsageError(f"the {what} to use was not named")
    for uuid_, _ in pairs:
        if uuid_ == reference:
            return uuid_
    named = [uuid_ for uuid_, name in pairs if name == reference]
    if shared and len(named) > 1:
        raise UsageError(
            f"{len(named)} {what}s are called {reference!r}", hint=f"give the UUID: {', '.join(named[:8])}"
        )
    if named:
        return named[0]
    begun = sorted({uuid_ for uuid_, _ in pairs if uuid_.startswith(reference)})
    if len(begun) > 1:
        raise UsageError(f"{reference!r} is the beginning of {len(begun)} {what}s", hint="give more of the UUID")
    if not begun:
        raise NotFoundError(f"there is no {what} {reference!r}")
    return begun[0]
