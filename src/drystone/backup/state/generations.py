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
    number, stored = newest(vault)
    state, error = _parse(vault, number, stored)
    if state is None:
        assert error is not None
        raise error
    return state


def change_state(vault: Vault, compute: Change) -> State:
    """Change the state; the newest one that has the change. Durable when this returns.

    When this raises out of a put, the change may have taken effect or not, or may do so a little later.

    :raises: what `compute` raises; nothing was changed then. :raises DamagedError: the newest generation is damaged.
    """

    def of_whole(state: State | None, error: DamagedError | None) -> State:
        if state is None:
            assert error is not None
            raise error
        return compute(state)

    return _change(vault, of_whole)


def replace_state(vault: Vault, compute: Callable[[State | None], State]) -> State:
    """As `change_state`, for `rebuild`: where the newest generation cannot be read, `compute` gets None."""
    return _change(vault, lambda state, _error: compute(state))


def _change(vault: Vault, compute: Callable[[State | None, DamagedError | None], State]) -> State:
    vault.check_writable()
    for _ in range(_ATTEMPTS):
        number, stored = newest(vault)
        state, error = _parse(vault, number, stored)
        wanted = compute(state, error)
        if wanted is state:
            return wanted
        previous = checksum(stored).hex() if number else ""
        wanted = msgspec.structs.replace(wanted, number=number + 1, previous=previous)
        if _put(vault, wanted):
            _tidy(vault)
            return wanted
    raise BusyError(f"the repository's state was changed by others {_ATTEMPTS} times meanwhile", hint="try again")


def _parse(vault: Vault, number: int, stored: bytes) -> tuple[State | None, DamagedError | None]:
    if not number:
        return (None, _lost()) if _has_manifests(vault) else (State(), None)
    try:
        return document.parse(vault.unseal(state_key(number), stored), number), None
    except DamagedError as error:
        error.hint = error.hint or _REBUILD
        return None, error


def _has_manifests(vault: Vault) -> bool:
    """Whether backups were made. The first generation is put before anything else, so there was a state then."""
    keys = [key for key, _ in vault.store.list(VOLUMES) if parse_manifest_key(key) is not None]
    return bool(keys) and not _highest(vault)


def _lost() -> DamagedError:
    return DamagedError(
        "the repository has backups, and no generation of its state is there",
        hint=_REBUILD,
    )


def begin_state(vault: Vault) -> None:
    """Put the first generation where there is none: before anything that a state would have to tell of."""
    if not newest(vault)[0]:
        change_state(vault, lambda state: state if state.number else msgspec.structs.replace(state))


def _put(vault: Vault, state: State) -> bool:
    """Put a generation; whether the change holds. Steps 3 and 4 of the document."""
    key = state_key(state.number)
    stored = vault.seal(key, document.encode(state))
    try:
        put_own(vault.store, key, stored)
    except (ExistsError, NotFoundError):  # another's; and that one may have been tidied away by now
        return False
    highest = _highest(vault)
    if highest == state.number or _follows(vault, state.number + 1, stored):
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


def _highest(vault: Vault) -> int:
    numbers = (parse_state_key(key) for key, _ in vault.store.list(STATE))
    return max((number for number in numbers if number is not None), default=0)


def _tidy(vault: Vault) -> None:
    """Delete the generations that nobody needs; what cannot be deleted stays until the next change."""
    with contextlib.suppress(DrystoneError):
        numbers = [number for key, _ in vault.store.list(STATE) if (number := parse_state_key(key)) is not None]
        for number in numbers:
            if FIRST < number < max(numbers) - KEPT:
                vault.store.delete(state_key(number))


def newest(vault: Vault) -> tuple[int, bytes]:
    """(number, stored bytes) of the newest generation; (0, b"") when there is none."""
    for _ in range(_ATTEMPTS):
        number = _highest(vault)
        if not number and _is_fresh(vault):
            return 0, b""
        if not number:  # the first one has been put meanwhile
            number = _highest(vault)
            _check_listed(number)
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


def _check_listed(number: int) -> None:
    """:raises UnavailableError: there are generations, and the store does not list them."""
    if not number:
        raise UnavailableError(
            f"the store lists nothing below {STATE}, and there are objects: it, or a proxy before it, is out of order"
        )


def _of_manifests(vault: Vault) -> State:
    """What a repository of version 1 has: its whole manifests. Damaged ones are left out."""
    found = []
    for manifest, stored in read_manifests(vault, damaged=lambda _error: None):
        fields = {name: getattr(manifest.head, name) for name in manifest.head.__struct_fields__}
        found.append(Entry(**fields, manifest=checksum(stored).hex()))
    return State(backups=tuple(sorted(found, key=lambda each: (each.created, each.backup))))
