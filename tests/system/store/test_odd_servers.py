"""Servers that answer as a sound one does not, or seldom does: each is a few lines of our own, on loopback."""

from __future__ import annotations

import contextlib
import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from drystone.base.errors import UnavailableError, UnsupportedError, UsageError
from drystone.store import open_store
from drystone.store.clients import Patience
from drystone.store.remote import PROBE

PATIENCE = Patience(connect=1.0, silence=5.0, first=0.5, again=0.5)
ENVIRON = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "HOME": "/nonexistent"}


@contextlib.contextmanager
def serving(handler: type[QuietHandler] | functools.partial[QuietHandler]) -> Iterator[str]:
    """The endpoint of a web server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{web.server_port}"
        finally:
            web.shutdown()
            thread.join()


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


class CarelessHandler(QuietHandler):
    """Says yes to every put. :cvar seen: (path, headers) of the puts."""

    seen: ClassVar[list[tuple[str, dict[str, str]]]]

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.answer(200)

    def answer(self, status: int, code: str = "") -> None:
        body = f"<?xml version='1.0'?><Error><Code>{code}</Code></Error>".encode() if code else b""
        self.send_response(status)
        self.send_header("ETag", '"x"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class ConflictHandler(CarelessHandler):
    """S3's answer while another request on the same name is under way, which then fails.

    :cvar conflicts: how many puts meet one. :cvar status: and how it is said.
    """

    conflicts: ClassVar[int]
    status: ClassVar[int] = 409

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if PROBE in self.path:
            self.answer(412, "PreconditionFailed")
            return
        self.seen.append((self.path, {}))
        if len(self.seen) <= self.conflicts:
            self.answer(self.status, "ConditionalRequestConflict")
        else:
            self.answer(200)

    def do_HEAD(self) -> None:
        self.answer(404)


class ElsewhereHandler(QuietHandler):
    """S3's answer of a bucket in another region: a redirection that does not say where to."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(301)
        self.send_header("x-amz-bucket-region", "eu-west-1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_PUT  # noqa: N815 - the base class's name


class ListHandler(CarelessHandler):
    """A bucket with one object. :cvar name: in XML. :cvar asked: how often it was listed."""

    name: ClassVar[str]
    asked: ClassVar[int] = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        body = (
            "<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated><Contents>"
            f"<Key>{self.name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>1</Size>"
            "</Contents></ListBucketResult>"
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class TwiceHandler(ListHandler):
    """Behind a proxy that sends a put again by itself: it is done, and the answer is that of the second one."""

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((self.path, {"mark": self.headers["x-amz-meta-drystoneput"]}))
        self.answer(412, "PreconditionFailed")

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.send_header("X-Amz-Meta-Drystoneput", self.mark(self.seen[-1][1]["mark"]))
        self.end_headers()

    def mark(self, own: str) -> str:
        return own


class RivalHandler(TwiceHandler):
    """Likewise, but the object is a rival's."""

    def mark(self, own: str) -> str:
        return own[::-1]


def test_a_web_server_that_knows_no_buckets(tmp_path: Path) -> None:
    with serving(functools.partial(QuietHandler, directory=str(tmp_path))) as endpoint:
        store = open_store("s3://bucket", endpoint=endpoint, environ=ENVIRON, patience=PATIENCE)
        with pytest.raises(UnsupportedError, match="does not support put"):
            store.put_if_absent("key", b"")
        with pytest.raises(UsageError, match="no such bucket"):
            list(store.list(""))


def test_a_store_that_ignores_the_condition_of_a_put_is_refused() -> None:
    CarelessHandler.seen = []
    with serving(CarelessHandler) as endpoint:
        store = open_store("s3://bucket", endpoint=endpoint, environ=ENVIRON, patience=PATIENCE)
        with pytest.raises(UnsupportedError, match="replaces objects"):
            store.put_if_absent("key", b"")


@pytest.mark.parametrize("status", [409, 412])
def test_a_put_that_met_another_which_came_to_nothing_is_tried_again(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConflictHandler, "status", status)
    ConflictHandler.seen, ConflictHandler.conflicts = [], 1
    with serving(ConflictHandler) as endpoint:
        store = open_store("s3://bucket", endpoint=endpoint, environ=ENVIRON, patience=PATIENCE)
        assert store.put_if_absent("key", b"data"), "False would mean that there is an object"
        assert len(ConflictHandler.seen) == 2


@pytest.mark.parametrize(("handler", "won"), [(TwiceHandler, True), (RivalHandler, False)])
def test_a_put_that_a_proxy_sent_twice_knows_its_object(
    handler: type[TwiceHandler], monkeypatch: pytest.MonkeyPatch, *, won: bool
) -> None:
    CarelessHandler.seen = []
    monkeypatch.setattr(ListHandler, "name", "key", raising=False)
    with serving(handler) as endpoint:
        store = open_store("s3://bucket", endpoint=endpoint, environ=ENVIRON, patience=PATIENCE)
        assert store.put_if_absent("key", b"data") is won


def test_a_put_that_always_meets_another_is_no_false() -> None:
    ConflictHandler.seen, ConflictHandler.conflicts = [], 1000
    with serving(ConflictHandler) as endpoint:
        store = open_store("s3://bucket", endpoint=endpoint, environ=ENVIRON, patience=PATIENCE)
        with pytest.raises(UnavailableError, match="shows none"):
            store.put_if_absent("key", b"data")


def test_a_bucket_in_another_region_is_told_at_once() -> None:
    with serving(ElsewhereHandler) as endpoint:
        store = open_store("s3://bucket", endpoint=endpoint, environ=ENVIRON, patience=Patience(first=30.0))
        for operation in (lambda: store.put_if_absent("key", b""), lambda: store.get("key"), lambda: [*store.list("")]):
            with pytest.raises(UsageError, match="another region") as caught:
                operation()
            assert "@region" in caught.value.hint


def test_variables_for_other_programs_change_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-another-key")
    monkeypatch.setenv("AWS_UNSIGNED_PAYLOAD", "true")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")
    CarelessHandler.seen = []
    with serving(CarelessHandler) as endpoint:
        store = open_store("s3://bucket/x", endpoint=f"{endpoint}/s3", environ=ENVIRON, patience=PATIENCE)
        with pytest.raises(UnsupportedError):
            store.put_if_absent("key", b"")
    path, headers = CarelessHandler.seen[0]
    assert path == f"/s3/bucket/x/{PROBE}"
    assert "x-amz-security-token" not in headers
    assert headers["x-amz-content-sha256"] != "UNSIGNED-PAYLOAD", "the server checks what it received"
    assert headers["if-none-match"] == "*"


@pytest.mark.parametrize("name", ["x//a", "x/a//b", "x/./a", "x/../a", "x/&#10;a"])
def test_an_object_of_others_that_cannot_be_listed_is_told_at_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListHandler, "name", name, raising=False)
    monkeypatch.setattr(ListHandler, "asked", 0)
    with serving(ListHandler) as endpoint:
        store = open_store("s3://bucket/x", endpoint=endpoint, environ=ENVIRON, patience=Patience(first=30.0))
        with pytest.raises(UsageError, match="has a name with //") as caught:
            list(store.list(""))
    assert "another path" in caught.value.hint
    assert ListHandler.asked == 1


@pytest.mark.parametrize(
    "name", ["x/a b", "x/a%2Fb", "x/a%zz", "x/a+b", "x/\u00e4", "x/a?b", "x/a&lt;b", "x/...", "x/.a", "x/"]
)
def test_objects_of_others_are_passed_over(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ListHandler, "name", name, raising=False)
    with serving(ListHandler) as endpoint:
        store = open_store("s3://bucket/x", endpoint=endpoint, environ=ENVIRON, patience=PATIENCE)
        assert list(store.list("")) == []
