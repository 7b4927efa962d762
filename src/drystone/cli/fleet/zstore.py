"""`zstore_cmd`: put, ls, la, get, sync and del at a fleet, by Disk Mapper's own API over plain HTTP.

A mapper says which storage server has a host; the data goes there directly. The address may also be a storage
server's: then everything goes through that. It needs no library: it starts in a moment.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import os
import ssl
import sys
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from drystone.cli.output import print_line

_PIECE = 1 << 20
_SECONDS = 300.0
_REDIRECTS = 4


class StoreError(Exception):
    """What went wrong, in a line."""


@dataclass(frozen=True, slots=True)
class Target:
    """`s3://ADDRESS/NAMESPACE/HOST/PATH`; `path` has no leading slash, and may be ""."""

    address: str
    path: str

    def url(self, path: str | None = None) -> str:
        """Its place in the API."""
        scheme, _, rest = self.address.rpartition("://")
        return f"{scheme or 'http'}://{rest}/api/{urllib.parse.quote(self.path if path is None else path)}"

    def below(self, name: str) -> Target:
        """What is called `name` in it."""
        return Target(self.address, f"{self.path.rstrip('/')}/{name}")


def parse_target(text: str) -> Target:
    """:raises StoreError: it is no such URL. `s3+https://` talks TLS."""
    for prefix, scheme in (("s3://", ""), ("s3+https://", "https://")):
        if text.startswith(prefix):
            address, _, path = text.removeprefix(prefix).partition("/")
            if not address or not path.strip("/"):
                break
            return Target(scheme + address, path)
    raise StoreError(f"{text}: write s3://ADDRESS/NAMESPACE/HOST/PATH")


def main() -> None:
    """The console script. Exit 0, or 1 with a line on stderr."""
    try:
        sys.exit(run(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)


def run(words: Sequence[str]) -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(prog="zstore_cmd", description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="put|get|ls|la|sync|del")
    for name, (_, first, second, text) in _COMMANDS.items():
        command = commands.add_parser(name, help=text)
        command.add_argument(first)
        if second:
            command.add_argument(second, nargs="?" if name == "get" else None)
    chosen = vars(parser.parse_args(words))
    act, first, second, _ = _COMMANDS[chosen["command"]]
    try:
        return act(chosen[first], chosen.get(second) or "")
    except (StoreError, OSError, http.client.HTTPException) as error:
        print_line(f"zstore_cmd: {error}", err=True)
    return 1


def put(source: str, target: str) -> int:
    """Store a file; silent when the same is there already."""
    place = parse_target(target)
    path = Path(source)
    if not path.is_file():
        raise StoreError(f"{source} is no file")
    if place.path.endswith("/"):
        place = place.below(path.name)
    if put_file(path, place):
        print_line("Saved file to disk")
    return 0


def put_file(path: Path, place: Target) -> bool:
    """Whether it had to be sent."""
    with path.open("rb") as file:
        digest = _sum(file)
        if stored_md5(place) == digest:
            return False
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        url = _find_storage(place)
        headers = {
            "Content-Length": str(size),
            "Content-MD5": base64.b64encode(bytes.fromhex(digest)).decode(),
            "Content-Type": "application/octet-stream",
        }
        with request("POST", url, file, headers) as answer:
            text = _read_text(answer)
            if answer.status >= 300:
                raise StoreError(f"{place.path}: {text or answer.reason}")
    return True


def stored_md5(place: Target) -> str:
    """The MD5 (hex) of what is stored, "" when nothing is, or it was put in parts."""
    with request("HEAD", place.url()) as answer:
        if answer.status != 200:
            return ""
        return (answer.getheader("ETag") or "").strip('"').lower()


def get(source: str, target: str) -> int:
    """Fetch an object and compare its MD5. With a folder or nothing as the target, the name is kept."""
    place = parse_target(source)
    path = Path(target or ".")
    if path.is_dir():
        path /= place.path.rpartition("/")[2]
    get_file(place, path)
    return 0


def get_file(place: Target, path: Path) -> None:
    """:raises StoreError: there is none, or other bytes came than are stored. The file is whole or not there."""
    passing = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with request("GET", place.url()) as answer:
            if answer.status != 200:
                raise StoreError(f"{place.path}: {_read_text(answer) or answer.reason}")
            digest = hashlib.md5(usedforsecurity=False)
            with passing.open("wb") as file:
                while piece := answer.read(_PIECE):
                    digest.update(piece)
                    file.write(piece)
            if answer.length:  # what http.client still waits for
                raise StoreError(f"{place.path}: the answer broke off, {answer.length} bytes before its end")
            wanted = (answer.getheader("ETag") or "").strip('"').lower()
            if len(wanted) == 32 and wanted != digest.hexdigest():
                raise StoreError(f"{place.path}: the MD5 of what came is another: {digest.hexdigest()}, not {wanted}")
        passing.replace(path)
    finally:
        passing.unlink(missing_ok=True)


def list_folder(source: str, _: str = "") -> int:
    """One level."""
    return _list(source, recursive=False)


def list_all(source: str, _: str = "") -> int:
    """All levels."""
    return _list(source, recursive=True)


def _list(source: str, *, recursive: bool) -> int:
    for line in _lines(parse_target(source), recursive=recursive):
        print_line(line)
    return 0


def _lines(place: Target, *, recursive: bool) -> Iterator[str]:
    """The lines that the storage server lists. :raises StoreError: there is nothing."""
    query = f"?action=list{'&recursive=true' if recursive else ''}"
    with request("GET", place.url() + query) as answer:
        text = _read_text(answer)
        if answer.status not in {200, 202}:
            raise StoreError(f"{place.path}: {text or answer.reason}")
    yield from text.splitlines()


def sync(source: str, target: str) -> int:
    """Make one side have all files of the other, by their MD5: a file or a folder, to or from the fleet."""
    if target.startswith(("s3://", "s3+https://")):
        return _sync_up(Path(source), parse_target(target))
    return _sync_down(parse_target(source), Path(target))


def _sync_up(folder: Path, place: Target) -> int:
    if folder.is_file():
        return put(str(folder), f"s3://{place.address}/{place.path}")
    if not folder.is_dir():
        raise StoreError(f"{folder}: no such file or folder")
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        if put_file(path, place.below(path.relative_to(folder).as_posix())):
            print_line(f"{path}: Saved file to disk")
    return 0


def _sync_down(place: Target, folder: Path) -> int:
    prefix = place.path.rstrip("/")
    for line in _lines(place, recursive=True):
        name = line.removeprefix("s3://").partition("/")[2]
        if name.endswith("/") or not name:
            continue
        relative = Path(name.removeprefix(prefix).lstrip("/") or name.rpartition("/")[2])
        if relative.is_absolute() or ".." in relative.parts:
            raise StoreError(f"{name}: leads out of the folder")
        path = folder / relative
        if path.is_file():
            with path.open("rb") as file:
                if _sum(file) == stored_md5(Target(place.address, name)):
                    continue
        path.parent.mkdir(parents=True, exist_ok=True)
        get_file(Target(place.address, name), path)
    return 0


def delete(target: str, _: str = "") -> int:
    """Delete one object."""
    place = parse_target(target)
    with request("DELETE", place.url()) as answer:
        text = _read_text(answer)
        if answer.status >= 300:
            raise StoreError(f"{place.path}: {text or answer.reason}")
    print_line(text)
    return 0


_COMMANDS: dict[str, tuple[Callable[[str, str], int], str, str, str]] = {
    "put": (put, "file", "target", "store a file"),
    "get": (get, "source", "file", "fetch one, and compare its MD5"),
    "ls": (list_folder, "source", "", "list one level"),
    "la": (list_all, "source", "", "list all levels"),
    "sync": (sync, "source", "target", "put or get what differs, folders too"),
    "del": (delete, "target", "", "delete one object"),
}


def _sum(file: IO[bytes]) -> str:
    """The MD5 of a file, in hex."""
    digest = hashlib.md5(usedforsecurity=False)
    while piece := file.read(_PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _find_storage(place: Target) -> str:
    """Where data for `place` is posted: what the mapper answers, or the address itself, if it is a storage server's."""
    origin = place.url("").removesuffix("/api/")
    with request("GET", f"{origin}/api?action=get_mapper") as answer:
        answer.read()
        if answer.status != 200:
            return place.url()
    with request("POST", place.url(), headers={"Content-Length": "0"}, follow=False) as answer:
        text = _read_text(answer)
        location = answer.getheader("Location") or ""
        if answer.status in {302, 303, 307} and location:
            return location
        raise StoreError(f"{place.path}: {text or answer.reason}")


class _Answer:
    """An answer and its connection, which ends with the block."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse) -> None:
        self._connection = connection
        self._response = response

    def __enter__(self) -> http.client.HTTPResponse:
        return self._response

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def request(
    method: str, url: str, body: IO[bytes] | None = None, headers: dict[str, str] | None = None, *, follow: bool = True
) -> _Answer:
    """The answer to a request, after redirects."""
    for _ in range(_REDIRECTS):
        parts = urllib.parse.urlsplit(url)
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            connection = http.client.HTTPSConnection(
                parts.netloc, timeout=_SECONDS, context=ssl.create_default_context()
            )
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=_SECONDS)
        place = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            connection.request(method, place, body=body, headers={**_key_headers(), **(headers or {})})
            response = connection.getresponse()
        except BaseException:
            connection.close()
            raise
        location = response.getheader("Location")
        if not follow or response.status not in {301, 302, 303, 307, 308} or not location:
            return _Answer(connection, response)
        connection.close()
        if body is not None:
            body.seek(0)
        url = urllib.parse.urljoin(url, location)
    raise StoreError(f"{url}: too many redirects")


def _key_headers() -> dict[str, str]:
    """HTTP Basic with the key of the environment, for a fleet that asks for one."""
    access, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not access or not secret:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{access}:{secret}".encode()).decode()}


def _read_text(response: http.client.HTTPResponse) -> str:
    return response.read().decode("utf-8", "replace").strip()


if __name__ == "__main__":
    main()
