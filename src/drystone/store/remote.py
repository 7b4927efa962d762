"""A remote store: objects in a bucket of S3, GCS or Azure, or in memory, through obstore.

`put_if_absent` has one winner because the server has: the request says "only if there is none" (If-None-Match: * of RFC
9110; S3, GCS and Azure all know it). What is left is an answer that got lost: the object is there, and the writer does
not know whose it is. So every put carries a random mark of its own in the object's metadata. A put that failed is tried
again; one that finds an object looks at its mark, and won when the mark is its own. An object is seen whole or not at
all: it is one request, and the servers count its bytes.

Some servers that speak S3's protocol ignore the condition, and some list an object late when they were killed while it
was put. At an endpoint that is not the cloud's own the condition is tried out before the first put, on an object
`PROBE` that stays there; and a put that was tried again is looked up in the listing, and written once more, as it is,
when it is missing there.

Each request has its time limits (`Patience`), and what may pass is tried again: a store that never answered for some
seconds, one that did for a minute. Once a store was given up, each request is tried once, until it answers again.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from drystone.base.errors import DamagedError, NotFoundError, UnsupportedError, UsageError
from drystone.store import waiting
from drystone.store.abc import LONGEST_KEY, Data, check_key
from drystone.store.answers import read_answer
from drystone.store.clients import Clients, Patience

if TYPE_CHECKING:
    from obstore import Attributes

PROBE = ".drystone-conditional-writes"
"""No key of a store begins with a dot, so that this object is in no listing."""

_MARK = "drystoneput"
"""Name of the metadata with the writer's mark; Azure allows letters, digits and _ only."""

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_PAGE = 1000

_T = TypeVar("_T")


class RemoteStore:
    """Objects below `prefix` (words between slashes, or "") of a bucket.

    :param place: names the bucket in messages. :param doubted: the server is not known to keep what S3 promises.
    :param copies: the client keeps the very buffer that was put (memory), so it gets a copy.
    """

    def __init__(
        self,
        clients: Clients,
        prefix: str,
        *,
        place: str,
        patience: Patience | None = None,
        doubted: bool = False,
        copies: bool = False,
        pause: Callable[[float], None] = waiting.pause,
    ) -> None:
        self._clients = clients
        self._below = f"{prefix}/" if prefix else ""
        self._place = place
        self._patience = patience or Patience()
        self._doubted = doubted
        self._copies = copies
        self._pause = pause
        self._proven = not doubted
        self._waits = self._patience.first
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"RemoteStore({self._place}/{self._below})"

    def put_if_absent(self, key: str, data: Data) -> bool:
        """Durable when this returns, as far as the store is: a put that it answered."""
        path = self._path(key)
        self._prove()
        mark = secrets.token_hex(16)
        sent = bytes(data) if self._copies else data
        return self._insist("put", key, lambda: self._put(path, sent, mark))

    def _put(self, path: str, data: Data, mark: str) -> bool:
        """One try.

        :raises AlreadyExistsError: the store says so and shows none: it was deleted just now, or a rival's put is under
            way, which may yet fail (S3's 409, ConditionalRequestConflict). To say False would be to lose both.
        """
        try:
            self._create(path, data, mark)
        except AlreadyExistsError:
            attributes = self._read_attributes(path)
            if attributes is None:
                raise
        else:
            return True
        if attributes.get(_MARK) != mark:
            return False
        if self._doubted and not self._is_listed(path):
            obstore.put(self._clients.writer(len(data)), path, data, attributes={_MARK: mark}, use_multipart=False)
        return True

    def _create(self, path: str, data: Data, mark: str) -> None:
        obstore.put(
            self._clients.writer(len(data)), path, data, mode="create", attributes={_MARK: mark}, use_multipart=False
        )

    def _read_attributes(self, path: str) -> Attributes | None:
        """An object's metadata; None when there is none, or a conflict hides it, as of a container that goes away."""
        try:
            return obstore.get(self._clients.reader(), path, options={"head": True}).attributes
        except (FileNotFoundError, AlreadyExistsError):
            return None

    def _is_listed(self, path: str) -> bool:
        folder = path.rpartition("/")[0]
        for page in obstore.list(self._clients.reader(), folder or None, offset=path[:-1], chunk_size=_PAGE):
            for entry in page:
                if entry["path"] >= path:
                    return entry["path"] == path
        return False

    def _prove(self) -> None:
        """The server keeps the condition of a put, tried once. :raises UnsupportedError: it does not."""
        if self._proven:
            return
        path = f"{self._below}{PROBE}"
        with self._lock:
            for _ in range(2):
                self._proven = self._proven or self._insist("put", PROBE, partial(self._is_kept, path))
                if self._proven:
                    return
        raise UnsupportedError(
            f"{self._place}: the store replaces objects that it was told to leave alone",
            hint="it must know conditional writes (If-None-Match)",
        )

    def _is_kept(self, path: str) -> bool:
        """Whether the server refuses to replace an object; without one, it is made."""
        try:
            self._create(path, b"", "probe")
        except AlreadyExistsError:
            return True
        return False

    def get(self, key: str) -> bytes:
        """In one request."""
        path = self._path(key)
        return self._insist("get", key, lambda: obstore.get(self._clients.reader(), path).bytes().to_bytes())

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """In one request; of no bytes, one that asks for the size."""
        if offset < 0 or length < 0:
            raise UsageError(f"bytes {offset}+{length} of {key} are no range")
        path = self._path(key)
        if length == 0:
            size = self._insist("get", key, lambda: obstore.head(self._clients.reader(), path)["size"])
            part, end = b"", min(offset, size)
        else:
            part = self._insist(
                "get",
                key,
                lambda: obstore.get_range(self._clients.reader(), path, start=offset, length=length).to_bytes(),
            )
            end = offset + len(part)
        if end != offset + length:
            raise DamagedError(
                f"object {key} at {self._place} ends at byte {end}, before {offset + length}", key=key, offset=offset
            )
        return part

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        """In pages of a thousand, as the caller asks for more; after a broken answer from where it broke."""
        below = f"{self._path(prefix)}/" if prefix else self._below
        pages = _Pages(self._clients, below)
        while page := self._insist("list", prefix, pages.read_next):
            for path, size in page:
                key = path.removeprefix(self._below)
                if path.startswith(below) and _is_key(key):
                    yield key, size

    def delete(self, key: str) -> None:
        """One request; that there is no such object is no error."""
        path = self._path(key)
        try:
            self._insist("delete", key, lambda: obstore.delete(self._clients.reader(), path))
        except NotFoundError:
            return

    def clean(self) -> int:
        """Nothing is ever left behind: an object is one request."""
        return 0

    def _path(self, key: str) -> str:
        return f"{self._below}{check_key(key)}"

    def _insist(self, operation: str, key: str, action: Callable[[], _T]) -> _T:
        """What `action` returns, tried again while its failures may pass and patience lasts; then its error.

        :raises KeyboardInterrupt: Ctrl-C came, and `waiting.GRACE` is over.
        """
        begun = time.monotonic()
        pause = _FIRST_PAUSE
        while True:
            try:
                result = waiting.wait_for(action)
            except (BaseError, FileNotFoundError) as failure:
                answer = read_answer(failure, self._place, operation, key)
            else:
                self._waits = self._patience.again
                return result
            # Raised out here: the library's own error may hold what was sent, keys included, and does not come along.
            if not answer.passing:
                self._waits = self._patience.again
                raise answer.error
            left = begun + self._waits - time.monotonic()
            if left <= 0:
                self._waits = 0.0
                raise answer.error
            self._pause(min(left, pause * random.uniform(0.5, 1.0)))  # noqa: S311 - clients shall not come in step
            pause = min(2 * pause, _LONGEST_PAUSE)
            waiting.check_interrupts(begun)


class _Pages:
    """The objects below a prefix, in the order in which the store lists them, page by page."""

    def __init__(self, clients: Clients, below: str) -> None:
        self._clients = clients
        self._below = below
        self._stream: Iterator[list[tuple[str, int]]] | None = None
        self._first = self._last = ""

    def read_next(self) -> list[tuple[str, int]]:
        """(path, bytes) of those that come next; none at the end. After a failure the next call asks for them anew."""
        if self._stream is None:
            self._stream = self._read_on()
        try:
            return next(self._stream, [])
        except BaseException:
            self._stream = None
            raise

    def _read_on(self) -> Iterator[list[tuple[str, int]]]:
        """The pages behind the last path that was given.

        Azurite does not know how to go on behind a path (startFrom) and begins at the beginning; only then the order of
        paths is relied upon, which is not the same in all stores.
        """
        given, anew = self._last, False
        # obstore takes a prefix as whole words, without the slash.
        prefix = self._below.rstrip("/") or None
        for page in obstore.list(self._clients.reader(), prefix, offset=given or None, chunk_size=_PAGE):
            entries = [(entry["path"], entry["size"]) for entry in page]
            if given and entries and entries[0][0] == self._first:
                anew = True
            if anew:
                entries = [entry for entry in entries if entry[0] > given]
            if entries:
                self._first = self._first or entries[0][0]
                self._last = entries[-1][0]
                yield entries


def _is_key(text: str) -> bool:
    """Whether an object that lies in the bucket is one of ours."""
    if len(text) > LONGEST_KEY:
        return False
    try:
        check_key(text)
    except UsageError:
        return False
    return True
