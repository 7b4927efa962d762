"""What is sent to GCS, and what is made of answers that no server here gives: GCS's errors, Azure's clock.

The answers are written down from the clouds' own documents (Google's "XML API: HTTP response headers and status codes",
Microsoft's "Common REST API error codes"); the server knows nothing else. What GCS stores, nothing here tells.
"""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

import pytest

from drystone.base.errors import DrystoneError, ExhaustedError, UnavailableError, UnsupportedError, UsageError
from drystone.store import open_store
from drystone.store.clients import Patience
from drystone.store.remote import PROBE
from drystone.testing.stores import check_refusal

PATIENCE = Patience(connect=1.0, silence=5.0, first=0.3, again=0.3)


class RecordingHandler(http.server.BaseHTTPRequestHandler):
    """Answers every request alike. :cvar seen: (method, path, headers). :cvar status: and `body`: the answer.

    :cvar first: (status, body) of answers that come before that.
    """

    seen: ClassVar[list[tuple[str, str, dict[str, str]]]]
    first: ClassVar[list[tuple[int, bytes]]]
    status: ClassVar[int]
    body: ClassVar[bytes]

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.seen.append((self.command, self.path, headers))
        status, body = self.first.pop(0) if self.first else (self.status, self.body)
        self.send_response(status)
        self.send_header("ETag", '"x"')
        self.send_header("Last-Modified", "Sat, 21 Nov 2026 12:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer  # noqa: N815 - the base class's names


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Of a server that says 200 and nothing, until `say`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    RecordingHandler.seen, RecordingHandler.first = [], []
    say(200)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), RecordingHandler) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{web.server_port}"
        finally:
            web.shutdown()
            thread.join()


def say(status: int, code: str = "", text: str = "") -> None:
    RecordingHandler.status = status
    message = f"<Error><Code>{code}</Code>{text}</Error>" if code else text
    RecordingHandler.body = f"<?xml version='1.0'?>{message}".encode() if code else message.encode()


def test_a_put_to_gcs_is_conditional_and_anonymous_at_an_emulator(endpoint: str) -> None:
    for host in (endpoint, endpoint.removeprefix("http://")):
        RecordingHandler.seen = []
        store = open_store("gs://bucket/x", environ={"STORAGE_EMULATOR_HOST": host}, patience=PATIENCE)
        # It says yes to both puts of one name.
        with pytest.raises(UnsupportedError, match=rf"^gs://bucket \({endpoint}\): the store replaces objects"):
            store.put_if_absent("key", b"data")
        method, path, headers = RecordingHandler.seen[0]
        assert (method, unquote(path)) == ("PUT", f"/bucket/x/{PROBE}")
        assert headers["x-goog-if-generation-match"] == "0"
        assert headers["x-goog-meta-drystoneput"] == "probe"
        assert headers["authorization"].split() == ["Bearer"], "of nobody"


def test_a_gcs_listing_is_of_the_xml_interface(endpoint: str) -> None:
    say(
        200,
        text="<?xml version='1.0'?><ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>x/a/b</Key>"
        "<LastModified>2026-01-01T00:00:00.000Z</LastModified><Size>3</Size><ETag>x</ETag></Contents></ListBucketResult>",
    )
    store = open_store("gs://bucket/x", environ={"STORAGE_EMULATOR_HOST": endpoint}, patience=PATIENCE)
    assert list(store.list("a")) == [("a/b", 3)]
    assert [path for _, path, _ in RecordingHandler.seen] == ["/bucket?list-type=2&prefix=x%2Fa%2F"]


def test_a_key_file_may_name_the_endpoint(endpoint: str, tmp_path: Path) -> None:
    key = {"gcs_base_url": endpoint, "disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
    path = tmp_path / "key.json"
    path.write_text(json.dumps(key))
    ways = (
        {"GOOGLE_SERVICE_ACCOUNT": str(path)},
        {"GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps(key)},
        {"GOOGLE_BASE_URL": endpoint, "GOOGLE_BEARER_TOKEN": "a-token"},
    )
    for number, environ in enumerate(ways):
        with contextlib.suppress(DrystoneError):
            open_store("gs://bucket", environ=environ, patience=PATIENCE).delete("key")
        assert len(RecordingHandler.seen) == number + 1
        method, sent, headers = RecordingHandler.seen[-1]
        assert (method, sent) == ("DELETE", "/bucket/key")
    assert headers["authorization"] == "Bearer a-token"


@pytest.mark.parametrize(
    ("status", "code", "kind", "says", "hint"),
    [
        (404, "NoSuchBucket", UsageError, "gs://bucket (http", "make it first"),
        (404, "NoSuchBucket", UsageError, "there is no such bucket", "make it first"),
        (400, "InvalidBucketName", UsageError, "no name of a bucket", ""),
        (403, "AccessDenied", UnavailableError, "is denied to this user", "rights"),
        (401, "AuthenticationRequired", UnavailableError, "does not accept", "GOOGLE_APPLICATION_CREDENTIALS"),
        (403, "SignatureDoesNotMatch", UnavailableError, "does not accept", "GOOGLE_APPLICATION_CREDENTIALS"),
        (403, "RequestTimeTooSkewed", UnavailableError, "clocks", "timedatectl"),
        (429, "SlowDown", UnavailableError, "was answered by 429 SlowDown", ""),
        (503, "ServiceUnavailable", UnavailableError, "was answered by 503", ""),
        (507, "InsufficientStorage", ExhaustedError, "no room", "make room"),
    ],
)
def test_what_gcs_says_no_with(
    status: int, code: str, kind: type[DrystoneError], says: str, hint: str, endpoint: str
) -> None:
    say(status, code, "<Message>secret text</Message>")
    environ = {"GOOGLE_BASE_URL": endpoint, "GOOGLE_BEARER_TOKEN": "a-token"}
    store = open_store("gs://bucket", environ=environ, patience=PATIENCE)
    check_refusal(store, kind, says, hint=hint, secrets=("secret text", "a-token"))


@pytest.mark.parametrize(
    ("status", "code", "text", "kind", "says", "hint"),
    [
        (403, "AuthenticationFailed", "Request date header too old: x", UnavailableError, "clocks", "timedatectl"),
        (403, "AuthenticationFailed", "The MAC signature found", UnavailableError, "does not accept", "ACCOUNT_KEY"),
        (403, "AuthorizationFailure", "", UnavailableError, "is denied to this user", "rights"),
        (403, "AuthorizationPermissionMismatch", "", UnavailableError, "is denied to this user", "rights"),
        (403, "KeyBasedAuthenticationNotPermitted", "", UnavailableError, "is denied to this user", "rights"),
        (409, "PublicAccessNotPermitted", "", UnavailableError, "is denied to this user", "rights"),
        (409, "ContainerBeingDeleted", "", UsageError, "there is no such container", "make it first"),
        (503, "ServerBusy", "", UnavailableError, "503 ServerBusy", ""),
    ],
)
def test_what_azure_says_no_with(
    status: int, code: str, text: str, kind: type[DrystoneError], says: str, hint: str, endpoint: str
) -> None:
    say(status, code, f"<AuthenticationErrorDetail>{text}</AuthenticationErrorDetail>")
    environ = {
        "AZURE_STORAGE_ACCOUNT": "account",
        "AZURE_STORAGE_KEY": "c2VjcmV0",
        "AZURE_STORAGE_SERVICE_ENDPOINT": f"{endpoint}/account",
    }
    store = open_store("az://container", environ=environ, patience=PATIENCE)
    check_refusal(store, kind, says, hint=hint, secrets=("c2VjcmV0",))


def test_an_archived_object_is_named(endpoint: str) -> None:
    say(409, "BlobArchived")
    environ = {"AZURE_STORAGE_ACCOUNT": "account", "AZURE_STORAGE_KEY": "c2VjcmV0", "AZURE_STORAGE_ENDPOINT": endpoint}
    with pytest.raises(UnavailableError, match="get a: the object is archived") as caught:
        open_store("az://container", environ=environ, patience=Patience(first=30.0)).get("a")
    assert "bring it back" in caught.value.hint


def test_a_listing_of_azure_goes_on_with_the_path_that_was_the_last(endpoint: str) -> None:
    # So Microsoft describes startFrom, "inclusive", which Azurite does not know; the library drops that path.
    # The library hands out a thousand together.
    paths = [f"x/{number:04d}" for number in range(1001)]
    say(200, text=_page(*paths[999:]))
    RecordingHandler.first = [(200, _page(*paths[:1000], marker="2").encode()), (503, b"")]
    environ = {"AZURE_STORAGE_ACCOUNT": "account", "AZURE_STORAGE_KEY": "c2VjcmV0", "AZURE_STORAGE_ENDPOINT": endpoint}
    store = open_store("az://container/x", environ=environ, patience=Patience(first=30.0))
    assert [key for key, _ in store.list("")] == [path.removeprefix("x/") for path in paths]
    assert ["startFrom=x%2F0999" in path for _, path, _ in RecordingHandler.seen] == [False, False, True]


def _page(*paths: str, marker: str = "") -> str:
    properties = (
        "<Last-Modified>Sat, 21 Nov 2026 12:00:00 GMT</Last-Modified><Etag>x</Etag><Content-Length>1</Content-Length>"
        "<Content-Type>x/x</Content-Type>"
    )
    blobs = "".join(f"<Blob><Name>{path}</Name><Properties>{properties}</Properties></Blob>" for path in paths)
    return (
        f"<?xml version='1.0'?><EnumerationResults><Blobs>{blobs}</Blobs><NextMarker>{marker}</NextMarker>"
        "</EnumerationResults>"
    )
