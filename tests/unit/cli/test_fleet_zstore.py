"""`zstore_cmd` against a server that answers wrongly on purpose; how it works with a real fleet: tests/system/fleet."""

import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from drystone.cli.fleet import initialize, zstore

Answer = tuple[int, dict[str, str], bytes]


class Fake:
    """A server whose answers a test decides. :ivar asked: methods and paths that came."""

    def __init__(self) -> None:
        self.answer: Callable[[str, str], Answer] = lambda _method, _path: (404, {}, b"File not found.")
        self.asked: list[tuple[str, str]] = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                fake.asked.append((self.command, self.path))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, headers, body = fake.answer(self.command, self.path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815  # their names are http.server's

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def fake() -> Iterator[Fake]:
    made = Fake()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def test_a_target_is_an_address_and_a_path() -> None:
    target = zstore.parse_target("s3://10.0.0.1:81/ns/host/a b")
    assert target.url() == "http://10.0.0.1:81/api/ns/host/a%20b"
    assert zstore.parse_target("s3+https://x/ns/h").url() == "https://x/api/ns/h"


@pytest.mark.parametrize("text", ["", "s3://", "s3://x", "s3://x/", "http://x/y", "file"])
def test_other_targets_are_refused(text: str) -> None:
    with pytest.raises(zstore.StoreError):
        zstore.parse_target(text)


def test_what_comes_with_another_md5_is_not_kept(
    fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.answer = lambda _method, _path: (200, {"ETag": f'"{hashlib.md5(b"right").hexdigest()}"'}, b"wrong")
    assert zstore.run(["get", f"s3://{fake.address}/ns/h/f", str(tmp_path / "f")]) == 1
    assert "the MD5 of what came is another" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_an_answer_that_breaks_off_is_not_kept(fake: Fake, tmp_path: Path) -> None:
    fake.answer = lambda _method, _path: (200, {"Content-Length": "100", "Connection": "close"}, b"short")
    assert zstore.run(["get", f"s3://{fake.address}/ns/h/f", str(tmp_path / "f")]) == 1
    assert list(tmp_path.iterdir()) == []


def test_the_same_md5_sends_nothing(fake: Fake, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "f").write_bytes(b"here already")
    fake.answer = lambda _method, _path: (200, {"ETag": hashlib.md5(b"here already").hexdigest()}, b"")
    assert zstore.run(["put", str(tmp_path / "f"), f"s3://{fake.address}/ns/h/f"]) == 0
    assert [method for method, _ in fake.asked] == ["HEAD"]
    assert capsys.readouterr().out == ""


def test_a_listing_that_leads_out_of_the_folder_is_refused(fake: Fake, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    fake.answer = lambda _method, _path: (202, {}, f"s3://{fake.address}/ns/h/../../evil\n".encode())
    assert zstore.run(["sync", f"s3://{fake.address}/ns/h", str(tmp_path / "in")]) == 1
    assert [each.name for each in tmp_path.rglob("*")] == ["in"]


def test_redirects_in_a_circle_end(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answer = lambda _method, path: (302, {"Location": f"http://{fake.address}{path}"}, b"")
    assert zstore.run(["del", f"s3://{fake.address}/ns/h/f"]) == 1
    assert "too many redirects" in capsys.readouterr().err
    assert len(fake.asked) < 10


def test_initialize_says_what_the_mapper_said(fake: Fake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.answer = lambda _method, _path: (409, {}, b"no spare slot is left")
    assert initialize.run(["-i", fake.address, "-g", "zbase", "-v", "10", "-t", "32"]) == 1
    assert capsys.readouterr().err == "initialize_diskmapper.sh: no spare slot is left\n"
    assert fake.asked == [("POST", "/api?action=initialize_vbuckets&namespace=zbase&per_disk=10&total=32")]
