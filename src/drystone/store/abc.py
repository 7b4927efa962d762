"""What an object store can be asked. Every store passes `drystone.testing.stores`, the conformance check.

A key is a path of words between slashes: `drystone-backup/packs/3f/3f06...`. An object is written once, whole, and
never changed: the only change of state is `put_if_absent`, which has one winner whoever tries at the same time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from drystone.base.errors import UsageError

Data = bytes | bytearray | memoryview
"""The bytes of an object."""

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
LONGEST_KEY = 512
"""Characters of a key; every known store allows 1,024 and we leave room for the destination's own path."""


class Store(Protocol):
    """Objects by key. A store may be used by several threads and processes at once.

    Errors of every method: UnavailableError the store cannot be reached, ExhaustedError it is full, UsageError a
    wrong key; what else the store reports comes as a DrystoneError with its facts.
    """

    def put_if_absent(self, key: str, data: Data) -> bool:
        """Write an object under a key that has none; durable when this returns True.

        :returns: False when the key has an object, which is left as it was and is durable too; never for this very
            write, though its answer was lost on the way and it was tried again. When it raises, the object may be
            there or not, or come a little later: a request that nobody waits for any more may still arrive.
        """

    def get(self, key: str) -> bytes:
        """The whole object. :raises NotFoundError: there is none."""

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """Exactly `length` bytes from byte `offset` on.

        :raises NotFoundError: there is no such object. :raises DamagedError: the object ends before that.
        """

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """(key, size in bytes) of every object below `prefix`, in no particular order.

        A prefix means whole words: `volumes/vol1` holds `volumes/vol1/x`, and neither `volumes/vol10/x` nor an object
        `volumes/vol1` itself. "" means all. An object that is put or deleted meanwhile may be listed or not.
        """

    def delete(self, key: str) -> None:
        """Remove an object, durably. A key that has none is no error: the wish is fulfilled."""

    def clean(self) -> int:
        """Remove what killed writers left behind that is no object; how many. Living writers are not harmed."""


class Parts(Protocol):
    """An object that is put piece by piece. Used by one thread at a time; ended by `finish` or by `abandon`.

    Errors are those of the store.
    """

    def write(self, data: Data) -> None:
        """Append bytes; their buffer is its owner's again when this returns."""

    def finish(self) -> bool:
        """Give the object its key: durable, and seen by others, when this returns True. False as in `put_if_absent`."""

    def abandon(self) -> None:
        """Leave nothing behind; after `finish`, or a second time, it does nothing."""


@runtime_checkable
class PartStore(Store, Protocol):
    """A store to which an object can be put without it being in memory as a whole."""

    def begin(self, key: str) -> Parts:
        """A new object, of which nothing is seen before it is finished."""


def check_key(key: str) -> str:
    """`key` itself when it is words of `[A-Za-z0-9_.-]` between single slashes, none of them beginning with a dot.

    :raises UsageError: otherwise. So no key leads out of a folder, and none is a store's own passing file.
    """
    if len(key) > LONGEST_KEY or not all(_WORD.fullmatch(word) for word in key.split("/")):
        raise UsageError(f"{key[:80]!r} is no key of a store", hint="words of A-Z a-z 0-9 _ . - between slashes")
    return key
