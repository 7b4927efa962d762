"""Clients of a fleet that put, get, delete and list a few keys at random, and note what they saw."""

from __future__ import annotations

import hashlib
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from drystone.fleet.s3.checksums import combine_etags
from drystone.testing.fleet.client import FleetClient, LostError, Reply
from drystone.testing.fleet.history import ABSENT, Action, History, Kind

BUCKET = "history"
KEYS = tuple(f"{host}/{name}" for host in ("a", "b", "c") for name in ("one", "two/three"))
_PART = 5 << 20
_SECONDS = 60.0
_PAUSE = 0.2
"""Seconds that a client waits whose server is away."""


class Workers:
    """Threads that work between `start` and `stop`.

    :param urls: of the servers. :ivar counts: of outcomes, such as "put 200".
    """

    def __init__(
        self, client: FleetClient, urls: Sequence[str], history: History, seed: int, *, threads: int = 4
    ) -> None:
        self._client = client
        self._urls = urls
        self._history = history
        self._stop = threading.Event()
        self._etags: dict[str, str] = {}
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self._threads = [
            threading.Thread(target=self._work, args=(f"worker {number}", random.Random(f"{seed} {number}")))  # noqa: S311
            for number in range(threads)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let each end what it does."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_SECONDS)
            assert not thread.is_alive(), "a client waits for ever"

    def changes(self) -> int:
        """How many were acknowledged so far."""
        with self._lock:
            return sum(self.counts[each] for each in ("put 200", "create 200", "complete 200", "delete 204"))

    def _work(self, who: str, source: random.Random) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            url, key = source.choice(self._urls), source.choice(KEYS)
            chance = source.random()
            if chance < 0.33:
                self.put(who, url, key, self._make_body(source, f"{who} {number}"))
            elif chance < 0.43:
                self.put(who, url, key, self._make_body(source, f"{who} {number}"), absent=True)
            elif chance < 0.46:
                self.put_parts(who, url, key, self._make_body(source, f"{who} {number}", _PART + 1000))
            elif chance < 0.56:
                self.delete(who, url, key)
            elif chance < 0.62:
                self.list(who, url)
            else:
                self.get(who, url, key)
            self._stop.wait(source.uniform(0, 0.1))

    @staticmethod
    def _make_body(source: random.Random, name: str, size: int = 0) -> bytes:
        size = size or source.choice((source.randrange(1, 2000), source.randrange(1, 60_000), 2_500_000))
        return f"{name} {source.random()} ".encode() + source.randbytes(size)

    # ------------------------------------------------------------------ what clients do

    def _ask(
        self, what: str, url: str, method: str, path: str, query: dict[str, str], body: bytes, headers: dict[str, str]
    ) -> Reply | None:
        """The reply; None when it was lost."""
        try:
            reply = self._client.ask(url, method, path, query, body, headers)
        except LostError:
            reply = None
            self._stop.wait(_PAUSE)
        with self._lock:
            self.counts[f"{what} {reply.status if reply else 'lost'}"] += 1
        return reply

    def _note(self, who: str, url: str, kind: Kind, key: str, value: str, begun: float, *, sure: bool) -> None:
        ended = self._history.now() if sure else math.inf
        self._history.add(Action(key, kind, value, begun, ended, f"{who} at {url.rpartition(':')[2]}"))

    def put(self, who: str, url: str, key: str, body: bytes, *, absent: bool = False) -> None:
        """Put a body; `absent`: if there is none."""
        value = hashlib.md5(body, usedforsecurity=False).hexdigest()
        with self._lock:
            self._etags[value] = value
        kind: Kind = "create" if absent else "put"
        begun = self._history.now()
        headers = {"if-none-match": "*"} if absent else {}
        reply = self._ask(kind, url, "PUT", f"/{BUCKET}/{key}", {}, body, headers)
        if reply is None or reply.status in (200, 409) or reply.status >= 500:
            self._note(who, url, kind, key, value, begun, sure=reply is not None and reply.status == 200)
        elif reply.status == 412 and absent:
            self._note(who, url, "refused", key, ABSENT, begun, sure=True)

    def put_parts(self, who: str, url: str, key: str, body: bytes) -> None:
        """Put a body in two parts."""
        path = f"/{BUCKET}/{key}"
        reply = self._ask("begin", url, "POST", path, {"uploads": ""}, b"", {})
        if reply is None or reply.status != 200:
            return
        upload = next(each.text or "" for each in ET.fromstring(reply.body) if each.tag.endswith("UploadId"))  # noqa: S314
        etags = []
        for number, part in enumerate((body[:_PART], body[_PART:]), 1):
            reply = self._ask("part", url, "PUT", path, {"partNumber": str(number), "uploadId": upload}, part, {})
            if reply is None or reply.status != 200:
                return
            etags.append(reply.headers["etag"].strip('"'))
        value = hashlib.md5(body, usedforsecurity=False).hexdigest()
        with self._lock:
            self._etags[combine_etags(etags)] = value
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
        )
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        begun = self._history.now()
        reply = self._ask("complete", url, "POST", path, {"uploadId": upload}, document, {})
        sure = reply is not None and reply.status == 200 and b"<Error>" not in reply.body
        if sure or reply is None or reply.status == 200 or reply.status >= 500:
            self._note(who, url, "put", key, value, begun, sure=sure)

    def delete(self, who: str, url: str, key: str) -> None:
        """Delete what is there."""
        begun = self._history.now()
        reply = self._ask("delete", url, "DELETE", f"/{BUCKET}/{key}", {}, b"", {})
        if reply is None or reply.status == 204 or reply.status >= 500:
            self._note(who, url, "delete", key, ABSENT, begun, sure=reply is not None and reply.status == 204)

    def get(self, who: str, url: str, key: str) -> bool:
        """Read it; whether that told what is there."""
        begun = self._history.now()
        reply = self._ask("get", url, "GET", f"/{BUCKET}/{key}", {}, b"", {})
        if reply is not None and reply.status == 200:
            value = hashlib.md5(reply.body, usedforsecurity=False).hexdigest()
            self._note(who, url, "read", key, value, begun, sure=True)
            return True
        if reply is not None and reply.status == 404 and reply.code == "NoSuchKey":
            self._note(who, url, "read", key, ABSENT, begun, sure=True)
            return True
        return False

    def list(self, who: str, url: str) -> bool:
        """List all keys; whether that told what is there."""
        begun = self._history.now()
        try:
            status, found = self._client.list_keys(url, BUCKET)
        except LostError:
            return False
        finally:
            with self._lock:
                self.counts["list"] += 1
        if status != 200:
            return False
        with self._lock:
            values = {key: self._etags.get(etag, f"an unknown ETag {etag}") for key, etag in found.items()}
        for key in (*KEYS, *(found.keys() - set(KEYS))):
            self._note(f"{who} listing", url, "read", key, values.get(key, ABSENT), begun, sure=True)
        return True

    def read_all(self, who: str) -> None:
        """Read every key at every server, and list them. :raises AssertionError: one cannot be read in two minutes."""
        for url in self._urls:
            for key in KEYS:
                self._insist(f"{key} at {url}", lambda url=url, key=key: self.get(who, url, key))
            self._insist(f"the list at {url}", lambda url=url: self.list(who, url))

    @staticmethod
    def _insist(what: str, action: object) -> None:
        assert callable(action)
        deadline = time.monotonic() + 2 * _SECONDS
        while not action():
            assert time.monotonic() < deadline, f"{what} cannot be read"
            time.sleep(0.2)
