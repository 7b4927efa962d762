"""Reading and changing the state of a repository: numbered generations, each put once, if absent.

docs/reference/backup-format.md, Changing the state. A change is a function from a state to the next one. It is computed
again from the newest state until its generation is the one that follows; so it must be a function that may be called
several times, and that sees when its wish is fulfilled already (it returns the state it was given).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import msgspec

from drystone.backup.format.digest import checksum
from drystone.backup.format.keys import STATE, VOLUMES, parse_manifest_key, parse_state_key, state_key
from drystone.backup.objects import read_manifests
from drystone.backup.state import document
from drystone.backup.state.document import Entry, State
from drystone.backup.vault import VERSION, Vault, put_own
from drystone.base.errors import BusyError, DamagedError, DrystoneError, ExistsError, NotFoundError, UnavailableError

FIRST = 1
"""The first generation is kept for ever: it tells an empty repository from a store whose listing is wrong."""
KEPT = 15
"""Generations before the newest that are kept."""
_ATTEMPTS = 1000
_REBUILD = "drystone backup rebuild makes a new one out of what is whole"

Change = Callable[[State], State]
"""From a state to the next one. It may look at the store. Returning the very state it was given means: no change."""


def read_state(vault: Vault) -> State:
    """The newest state; an empty one (number 0) before the first change. Of version 1: made of the manifests.

    :raises DamagedError: the newest generation is damaged. :raises UnsupportedError: it is of a newer version.
    """
    if vault.version < VERSION:
        return _of_manifests(vault)
    return _whole(_parse(vault, *newest(vault)))


def change_state(vault: Vault, compute: Change) -> State:
    """Change the state; the newest one that has the change. Durable when this returns.

    When this raises out of a put, the change may have taken effect or not, or may do so a little later.

    :raises: what `compute` raises; nothing was changed then. :raises DamagedError: the newest generation is damaged.
    """
    return _change(vault, lambda found: compute(_whole(found)))


def replace_state(vault: Vault, compute: Callable[[State | None], State]) -> State:
    """As `change_state`, for `rebuild`: where the newest generation cannot be read, `compute` gets None."""
    return _change(vault, lambda found: compute(None if isinstance(found, DamagedError) else found))


def _change(vault: Vault, compute: Callable[[State | DamagedError], State]) -> State:
    vault.check_writable()
    for _ in range(_ATTEMPTS):
        number, stored = newest(vault)
        found = _parse(vault, number, stored)
        wanted = compute(found)
        if wanted is found:
            return wanted
        previous = checksum(stored).hex() if number else ""
        wanted = msgspec.structs.replace(wanted, number=number + 1, previous=previous)
        if _put(vault, wanted):
            return wanted
    raise BusyError(f"the repository's state was changed by others {_ATTEMPTS} times meanwhile", hint="try again")


def _whole(found: State | DamagedError) -> State:
    if isinstance(found, DamagedError):
        raise found
    return found


def _parse(vault: Vault, number: int, stored: bytes) -> State | DamagedError:
    """The state that a generation holds, or what is wrong with it."""
    if not number:
        return _lost() if _has_manifests(vault) else State()
    try:
        return document.parse(vault.unseal(state_key(number), stored), number)
    except DamagedError as error:
        error.hint = error.hint or _REBUILD
        return error


def _has_manifests(vault: Vault) -> bool:
    """Whether backups were made. The first generation is put before anything else, so there was a state then."""
    there = any(parse_manifest_key(key) is not None for key, _ in vault.store.list(VOLUMES))
    return there and not _numbers(vault)


def _lost() -> DamagedError:
    return DamagedError(
        "the repository has backups, and no generation of its state is there",
        hint=_REBUILD,
    )


def begin_state(vault: Vault) -> State:
    """The newest state. Where there is none, the first generation is put: before anything it would have to tell of."""
    found = read_state(vault)
    return found if found.number else change_state(vault, _begun)


def _begun(state: State) -> State:
    return state if state.number else msgspec.structs.replace(state)


def _put(vault: Vault, state: State) -> bool:
    """Put a generation; whether the change holds. Steps 3 to 5 of the document."""
    key = state_key(state.number)
    stored = vault.seal(key, document.encode(state))
    try:
        put_own(vault.store, key, stored)
    except (ExistsError, NotFoundError):  # another's; and that one may have been tidied away by now
        return False
    numbers = _numbers(vault)
    highest = max(numbers, default=0)
    if highest == state.number or _follows(vault, state.number + 1, stored):
        _tidy(vault, numbers)
        return True
    # The number had been used and tidied away before: nobody reads this object, for it is below the highest.
    with contextlib.suppress(NotFoundError):
        if highest > state.number and vault.store.get(key) == stored:
            vault.store.delete(key)
    return False


def _follows(vault: Vault, number: int, before: bytes) -> bool:
    """Whether generation `number` is there and was made from the generation whose stored bytes are `before`."""
    key = state_key(number)
    try:
        stored = vault.store.get(key)
        return document.parse(vault.unseal(key, stored), number).previous == checksum(before).hex()
    except (NotFoundError, DamagedError):
        return False


def _numbers(vault: Vault) -> list[int]:
    """Of the generations that are there."""
    return [number for key, _ in vault.store.list(STATE) if (number := parse_state_key(key)) is not None]


def _tidy(vault: Vault, numbers: list[int]) -> None:
    """Delete those of the generations that nobody needs; what cannot be deleted stays until the next change."""
    last = max(numbers, default=0) - KEPT
    with contextlib.suppress(DrystoneError):
        for number in numbers:
            if FIRST < number < last:
                vault.store.delete(state_key(number))


def newest(vault: Vault) -> tuple[int, bytes]:
    """(number, stored bytes) of the newest generation; (0, b"") when there is none.

    :raises UnavailableError: there are generations, and the store does not list them.
    """
    for _ in range(_ATTEMPTS):
        numbers = _numbers(vault)
        if not numbers:
            if _is_fresh(vault):
                return 0, b""
            numbers = _numbers(vault)  # the first one has been put meanwhile
        if not numbers:
            raise UnavailableError(
                f"the store lists nothing below {STATE}, and there are objects: it, or a proxy before it, is out of "
                "order"
            )
        number = max(numbers)
        try:
            return number, vault.store.get(state_key(number))
        except NotFoundError:  # tidied away since it was listed: there are newer ones
            continue
    raise BusyError("the repository's state is changed faster than it can be read", hint="try again")


def _is_fresh(vault: Vault) -> bool:
    """Nothing was listed, and a collector would take all packs for unwanted: ask in another way. The first generation
    is never deleted."""
    try:
        vault.store.get(state_key(FIRST))
    except NotFoundError:
        return True
    return False


def _of_manifests(vault: Vault) -> State:
    """What a repository of version 1 has: its whole manifests. Damaged ones are left out."""
    manifests = read_manifests(vault, damaged=lambda _error: None)
    found = [Entry.of(manifest.head, stored) for manifest, stored in manifests]
    return State(backups=tuple(sorted(found, key=lambda each: (each.created, each.backup))))
