"""What a fleet answers to those who have no key, a wrong one or bad intentions: nothing that tells them anything."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drystone.fleet.documents import Key
from drystone.fleet.s3.signing import presign, sign_request
from drystone.testing.fleet.client import FleetClient, Reply
from drystone.testing.fleet.processes import FleetProcesses, wait_until

BUCKET = "guarded"
EMPTY = hashlib.sha256(b"").hexdigest()
SECONDS = 120.0
PATIENCE = 5.0
"""Seconds that the servers wait for a client that stands still."""
UNKNOWN = Key("DRYNOBODY", "a-secret-of-nobody", {})
READER = Key("DRYREADER", "readers-secret-text", {BUCKET: "read"})
OUTSIDER = Key("DRYOUTSIDER", "outsiders-secret-text", {"another": "admin"})


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetProcesses]:
    """One that soon has enough of slow clients."""
    words = ("--head-seconds", f"{PATIENCE}", "--still-seconds", f"{PATIENCE}")
    with FleetProcesses(tmp_path_factory.mktemp("fleet"), storage_words=words) as started:
        started.start()
        yield started


@pytest.fixture(scope="module")
def guarded(fleet: FleetProcesses) -> Iterator[FleetProcesses]:
    """A fleet with an object in a bucket, and keys with few rights."""
    url = fleet.storage[0].url
    assert fleet.client.ask(url, "PUT", f"/{BUCKET}").status == 200
    assert fleet.client.ask(url, "PUT", f"/{BUCKET}/host/file", body=b"content").status == 200
    for key in (READER, OUTSIDER):
        assert fleet.make_key(key)
    wait_until("servers know the keys", fleet.is_whole)
    yield fleet
    assert fleet.client.ask(url, "GET", f"/{BUCKET}/host/file").body == b"content", "it is still there"


def host_of(fleet: FleetProcesses) -> str:
    return fleet.storage[0].url.removeprefix("http://")


def send(fleet: FleetProcesses, data: bytes, *, end: bool = False, until: bytes = b"") -> bytes:
    """Send bytes to a server; all that it answers until it closes, says `until`, or says nothing for some seconds."""
    answer = b""
    with socket.create_connection(("127.0.0.1", fleet.storage[0].port), timeout=SECONDS) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while not (until and until in answer) and (piece := connection.recv(65536)):
                answer += piece
                connection.settimeout(3.0)
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answer)]


def head(method: str, target: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("utf-8", "surrogateescape")


def signed(fleet: FleetProcesses, method: str, target: str, *, now: float | None = None, **more: str) -> dict[str, str]:
    """Headers of a request that is right, signed at `now`."""
    headers = {"host": host_of(fleet), **{name.replace("_", "-"): text for name, text in more.items()}}
    key = fleet.key
    return sign_request(method, target, headers, key.access_key, key.secret, now=now or time.time(), payload=EMPTY)


def said(reply: Reply) -> tuple[int, bytes]:
    """What a reply tells, without the number of the request."""
    return reply.status, re.sub(rb"<RequestId>.*?</RequestId>", b"", reply.body)


ASKED = [
    ("GET", "/"),
    ("GET", f"/{BUCKET}"),
    ("PUT", f"/{BUCKET}"),
    ("DELETE", f"/{BUCKET}"),
    ("HEAD", f"/{BUCKET}"),
    ("GET", f"/{BUCKET}/host/file"),
    ("HEAD", f"/{BUCKET}/host/file"),
    ("PUT", f"/{BUCKET}/host/file"),
    ("DELETE", f"/{BUCKET}/host/file"),
    ("POST", f"/{BUCKET}"),
]


@pytest.mark.parametrize(("method", "path"), ASKED)
def test_who_has_no_key_gets_403(guarded: FleetProcesses, method: str, path: str) -> None:
    url = guarded.storage[0].url
    body = b"x" * 1000 if method in {"PUT", "POST"} else b""
    for client in (
        FleetClient(UNKNOWN.access_key, UNKNOWN.secret),
        FleetClient(guarded.key.access_key, UNKNOWN.secret),
        FleetClient(guarded.key.access_key.lower(), guarded.key.secret),
    ):
        assert client.ask(url, method, path, body=body).status == 403
    bare = head(method, path, {"Host": host_of(guarded), "Content-Length": str(len(body)), "Connection": "close"})
    assert statuses(send(guarded, bare + body)) == [403]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("key", [UNKNOWN, OUTSIDER], ids=["unknown", "outsider"])
def test_whether_something_exists_makes_no_difference(guarded: FleetProcesses, method: str, key: Key) -> None:
    client, url = FleetClient(key.access_key, key.secret), guarded.storage[0].url
    there, not_there, no_bucket = (
        said(client.ask(url, method, path))
        for path in (f"/{BUCKET}/host/file", f"/{BUCKET}/host/none", "/no-such-bucket/host/file")
    )
    assert there == not_there == no_bucket
    assert there[0] == 403


def test_a_reader_only_reads(guarded: FleetProcesses) -> None:
    client, url = FleetClient(READER.access_key, READER.secret), guarded.storage[1].url
    path = f"/{BUCKET}/host/file"
    assert client.ask(url, "GET", path).body == b"content"
    assert client.ask(url, "PUT", path, body=b"other").status == 403
    assert client.ask(url, "DELETE", path).status == 403
    assert client.ask(url, "POST", path, {"uploads": ""}).status == 403
    assert client.ask(url, "PUT", f"/{BUCKET}", {"policy": ""}, b"{}").status == 403
    assert client.ask(url, "PUT", "/anothers-bucket").status == 403
    assert client.ask(url, "PUT", f"/{BUCKET}/host/copy", headers={"x-amz-copy-source": path}).status == 403


Words = tuple[str, str, dict[str, str]]

FORGED: dict[str, Callable[[Words], Words]] = {
    "another path": lambda words: (words[0], f"/{BUCKET}/host/other", words[2]),
    "another method": lambda words: ("DELETE", words[1], words[2]),
    "another query": lambda words: (words[0], words[1] + "?versionId=null", words[2]),
    "another host": lambda words: (words[0], words[1], {**words[2], "host": "127.0.0.1:1"}),
    "another body": lambda words: (words[0], words[1], {**words[2], "x-amz-content-sha256": "0" * 64}),
    "another date": lambda words: (words[0], words[1], {**words[2], "x-amz-date": "20200101T000000Z"}),
    "a header that is not signed": lambda words: (words[0], words[1], {**words[2], "x-amz-acl": "public-read"}),
    "a flipped digit": lambda words: (
        words[0],
        words[1],
        {
            **words[2],
            "authorization": words[2]["authorization"][:-1] + ("0" if words[2]["authorization"][-1] != "0" else "1"),
        },
    ),
    "no signature": lambda words: (
        words[0],
        words[1],
        {**words[2], "authorization": words[2]["authorization"].partition(", Signature")[0]},
    ),
    "an older kind of signature": lambda words: (words[0], words[1], {**words[2], "authorization": "AWS a:b"}),
    "the fleet's own kind of token": lambda words: (words[0], words[1], {**words[2], "authorization": "Bearer guess"}),
}


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_request_is_refused(guarded: FleetProcesses, what: str) -> None:
    target = f"/{BUCKET}/host/file"
    good = ("GET", target, signed(guarded, "GET", target))
    assert statuses(send(guarded, head(*good))) == [200]
    method, other, headers = FORGED[what](good)
    found = statuses(send(guarded, head(method, other, headers)))
    assert found in ([403], [400]), found


@pytest.mark.parametrize("minutes", [-16, 16])
def test_an_old_request_is_refused(guarded: FleetProcesses, minutes: int) -> None:
    target = f"/{BUCKET}/host/file"
    headers = signed(guarded, "GET", target, now=time.time() + 60 * minutes)
    answer = send(guarded, head("GET", target, headers))
    assert statuses(answer) == [403]
    assert b"RequestTimeTooSkewed" in answer


def test_a_presigned_address_ends(guarded: FleetProcesses) -> None:
    key, target, host = guarded.key, f"/{BUCKET}/host/file", host_of(guarded)

    def ask(made: float, expires: int, method: str = "GET") -> list[int]:
        good = presign("GET", target, host, key.access_key, key.secret, now=made, expires=expires)
        return statuses(send(guarded, head(method, good, {"Host": host})))

    now = time.time()
    assert ask(now, 300) == [200]
    assert ask(now - 301, 300) == [403]
    assert ask(now + 3600, 300) == [403]
    assert ask(now, 300, "DELETE") == [403]
    assert ask(now, 1 << 40) in ([400], [403])


TRICKS = [
    "/../internal/map",
    f"/{BUCKET}/../../internal/map",
    "/./internal/map",
    "//internal/map",
    "/internal/../internal/map",
    "/%69nternal/map",
    "/internal%2Fmap",
    f"/{BUCKET}/%2e%2e/%2e%2e/etc/passwd",
    f"/{BUCKET}/..%2f..%2fdisk.json",
    "/internal/map",
    "/internal/status",
    "/internal/members/change",
    "/internal/objects",
    "/internal//",
    "/%00",
    "/%ff%fe",
    "/?%00=1",
    "http://127.0.0.1/internal/map",
    "*",
]


@pytest.mark.parametrize("target", TRICKS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_path_leads_around_the_keys(guarded: FleetProcesses, method: str, target: str) -> None:
    for token in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {guarded.key.secret}"}):
        answer = send(guarded, head(method, target, {"Host": host_of(guarded), "Content-Length": "0", **token}))
        (status,) = statuses(answer)
        assert status in {400, 401, 403, 404}, answer
        assert b"placements" not in answer
        assert guarded.secret.encode() not in answer


CLASHING = (
    "host/x",
    "host/x/y",
    "host/x/y/z",
    "host/x/",
    "host/../../../../escaped",
    "host/./x",
    "host//x",
    "host/\u00fc/" + "l" * 300,
)


def test_keys_that_no_file_system_holds_are_kept_apart(guarded: FleetProcesses, tmp_path: Path) -> None:
    url, other = guarded.storage[0].url, guarded.storage[1].url
    for key in CLASHING:
        assert guarded.client.ask(url, "PUT", f"/{BUCKET}/{key}", body=key.encode()).status == 200, key
    for key in CLASHING:
        assert guarded.client.ask(other, "GET", f"/{BUCKET}/{key}").body == key.encode()
    assert guarded.client.list_keys(other, BUCKET)[1].keys() >= set(CLASHING)
    outside = [path for path in guarded.root.rglob("escaped") if ".drystone" not in path.parts]
    assert all("data_" in str(path) for path in outside)
    for key in CLASHING:
        assert guarded.client.ask(other, "DELETE", f"/{BUCKET}/{key}").status == 204
    assert guarded.client.list_keys(other, BUCKET)[1].keys() == {"host/file"}


def start_put(fleet: FleetProcesses, key: str, size: int, **more: str) -> bytes:
    target = f"/{BUCKET}/{key}"
    headers = sign_request(
        "PUT",
        target,
        {
            "host": host_of(fleet),
            "content-length": str(size),
            **{name.replace("_", "-"): text for name, text in more.items()},
        },
        fleet.key.access_key,
        fleet.key.secret,
        now=time.time(),
    )
    return head("PUT", target, headers)


def test_a_body_that_breaks_off_is_not_kept(guarded: FleetProcesses) -> None:
    for sent in (0, 500, 3 << 20):
        answer = send(guarded, start_put(guarded, "host/short", sent + 1000) + b"x" * sent, end=True)
        assert 200 not in statuses(answer)
    assert guarded.client.ask(guarded.storage[1].url, "GET", f"/{BUCKET}/host/short").status == 404


def test_what_comes_after_a_body_is_no_part_of_it(guarded: FleetProcesses) -> None:
    """The put may be refused for what comes after it; if it is done, then with its own bytes only."""
    path = f"/{BUCKET}/host/long"
    for extra in (b"6", b"67890" * 1000, b"GET /internal/map HTTP/1.1\r\nHost: x\r\n\r\n"):
        answer = send(guarded, start_put(guarded, "host/long", 5) + b"12345" + extra)
        first, *later = statuses(answer)
        assert set(later) <= {400, 401, 403}
        found = guarded.client.ask(guarded.storage[1].url, "GET", path)
        assert found.body == b"12345" if first == 200 else (first, found.status) == (400, 404)
        assert guarded.client.ask(guarded.storage[1].url, "DELETE", path).status == 204


def test_no_answer_tells_what_serves(guarded: FleetProcesses) -> None:
    log = guarded.root / f"{guarded.storage[0].name}.log"
    before = log.stat().st_size
    for data in (b"GET * HTTP/1.1\r\n\r\n", b"\0\1\2\r\n\r\n", b"GET / HTTP/1.1\r\nA B: c\r\n\r\n"):
        answer = send(guarded, data + b"secret-of-the-client")
        assert set(statuses(answer)) == {400}
        assert not re.search(rb"(?i)python|aiohttp|secret-of-the-client", answer)
    assert b"Traceback" not in log.read_bytes()[before:]


def test_a_body_that_is_another_than_was_signed_is_not_kept(guarded: FleetProcesses) -> None:
    target = f"/{BUCKET}/host/swapped"
    headers = sign_request(
        "PUT",
        target,
        {"host": host_of(guarded), "content-length": "5"},
        guarded.key.access_key,
        guarded.key.secret,
        now=time.time(),
        payload=hashlib.sha256(b"right").hexdigest(),
    )
    answer = send(guarded, head("PUT", target, headers) + b"wrong")
    assert statuses(answer) == [400]
    assert b"XAmzContentSHA256Mismatch" in answer
    assert guarded.client.ask(guarded.storage[1].url, "GET", target).status == 404


def test_more_than_an_object_may_have_is_refused_at_once(guarded: FleetProcesses) -> None:
    answer = send(guarded, start_put(guarded, "host/huge", (5 << 40) + 1), until=b"</Error>")
    assert statuses(answer) == [400]
    assert b"EntityTooLarge" in answer


def test_two_lengths_are_refused(guarded: FleetProcesses) -> None:
    data = start_put(guarded, "host/smuggled", 5).replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert statuses(send(guarded, data + b"0\r\n\r\nGET /internal/map HTTP/1.1\r\n\r\n"))[0] == 400
    twice = start_put(guarded, "host/smuggled", 5).replace(b"\r\n\r\n", b"\r\nContent-Length: 6\r\n\r\n")
    assert statuses(send(guarded, twice + b"123456"))[0] == 400
    assert guarded.client.ask(guarded.storage[1].url, "GET", f"/{BUCKET}/host/smuggled").status == 404


def resident(fleet: FleetProcesses) -> int:
    """Bytes of memory that the server has."""
    text = Path(f"/proc/{fleet.storage[0].pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", text)
    assert found is not None
    return int(found[1]) << 10


BOMBS = {
    "many headers": b"".join(b"x-a-%d: 1\r\n" % number for number in range(100_000)),
    "one long header": b"x-a: " + b"a" * (16 << 20) + b"\r\n",
    "a header without end": b"a" * (16 << 20),
    "folded headers": b"x-a: 1\r\n" + b" more\r\n" * 200_000,
    "NUL": b"x-a: \0\r\n",
}


@pytest.mark.parametrize("what", BOMBS)
def test_header_bombs_are_refused(guarded: FleetProcesses, what: str) -> None:
    before = resident(guarded)
    start = f"GET /{BUCKET} HTTP/1.1\r\nHost: {host_of(guarded)}\r\n".encode()
    answer = send(guarded, start + BOMBS[what] + b"\r\n")
    assert set(statuses(answer)) <= {400, 403, 431}
    long_line = send(guarded, b"GET /" + b"a" * (16 << 20) + b" HTTP/1.1\r\n\r\n")
    assert set(statuses(long_line)) <= {400, 414}
    assert resident(guarded) < before + (64 << 20)


def deleting(key: bytes) -> bytes:
    return b"<Delete><Object><Key>" + key + b"</Key></Object></Delete>"


@pytest.mark.parametrize(
    "document",
    [
        b'<!DOCTYPE d [<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;&a;">]>' + deleting(b"&b;"),
        b'<!DOCTYPE d [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + deleting(b"&a;"),
        b"<Delete>" * 100_000,
        b"<Delete><Object><Key>host/file</Key></Object>",
        b"\xff\xfe<\x00D",
    ],
    ids=["entities", "outer entity", "depth", "truncated", "UTF-16"],
)
def test_documents_that_are_none_are_refused(guarded: FleetProcesses, document: bytes) -> None:
    md5 = hashlib.md5(document, usedforsecurity=False).digest()
    headers = {"content-md5": base64.b64encode(md5).decode()}
    reply = guarded.client.ask(guarded.storage[0].url, "POST", f"/{BUCKET}", {"delete": ""}, document, headers)
    assert reply.status == 400
    assert b"root:" not in reply.body


def test_slow_clients_hold_up_nobody(guarded: FleetProcesses) -> None:
    """200 that stop in the middle of a head, and 50 in the middle of a body; each is told to go in the end."""
    with contextlib.ExitStack() as stack:
        slow = []
        for number in range(250):
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", guarded.storage[0].port), timeout=SECONDS)
            )
            begun = start_put(guarded, f"host/slow-{number}", 100_000)
            connection.sendall(begun[:-2] if number < 200 else begun + b"x" * 1000)
            slow.append(connection)
        for number in range(20):
            path = f"/{BUCKET}/host/quick-{number}"
            assert guarded.client.ask(guarded.storage[0].url, "PUT", path, body=b"quick").status == 200
            assert guarded.client.ask(guarded.storage[1].url, "GET", path).body == b"quick"
            assert guarded.client.ask(guarded.storage[1].url, "DELETE", path).status == 204
        for connection in (slow[0], slow[-1]):
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65536):
                    assert 200 not in statuses(piece)
    assert guarded.client.list_keys(guarded.storage[1].url, BUCKET)[1].keys() == {"host/file"}
