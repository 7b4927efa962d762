"""What a client of the command server asks for, as bytes; and whether the program in memory is the installed one."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from drystone.base.errors import UsageError
from drystone.cli.dvm.server.installation import Installation
from drystone.cli.dvm.server.loop import listen
from drystone.cli.dvm.server.request import Request, format_request, parse_request
from drystone.cli.dvm.server.worker import RefusedError, choose_errors

REQUEST = Request(
    program="/usr/bin/dvm",
    words=("show", "vg", "", "a\udcffb"),
    variables={"PATH": "/bin", "EMPTY": "", "WITH": "a=b"},
    handles=(0, 1, 2, 63),
    umask=0o22,
    blocked=1 << 13,
)


def test_there_and_back() -> None:
    assert parse_request(format_request(REQUEST)) == REQUEST


def test_of_two_variables_the_first_counts_and_what_is_none_is_left_out() -> None:
    data = format_request(REQUEST).replace(b"EMPTY=", b"=EMPTY").replace(b"WITH=a=b", b"PATH=/us")
    assert parse_request(data).variables == {"PATH": "/bin"}


@pytest.mark.parametrize("at", [0, 4, 8, 16, 20, 24, 32, 36, 48])
def test_numbers_that_cannot_be(at: int) -> None:
    data = bytearray(format_request(REQUEST))
    data[at : at + 4] = b"\xff\xff\xff\xff"
    try:
        read = parse_request(bytes(data))
    except UsageError:
        return
    assert at in (8, 48), at  # blocked signals, and within a string
    assert (read.words[:2], read.handles) == (REQUEST.words[:2], REQUEST.handles)


def test_any_bytes_are_a_request_or_are_refused() -> None:
    whole, chance = format_request(REQUEST), random.Random(7)
    for length in range(len(whole)):
        with pytest.raises(UsageError):
            parse_request(whole[:length])
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            read = parse_request(bytes(data))
        except UsageError:
            continue
        assert len(set(read.handles)) == len(read.handles)
        assert parse_request(format_request(read)) == read


@pytest.mark.parametrize(
    ("variables", "errors"),
    [({}, "surrogateescape"), ({"LANG": "de_DE.UTF-8"}, "strict"),
     ({"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, "surrogateescape"),
     ({"LC_ALL": "", "LC_CTYPE": "en_US.utf8@x"}, "strict"), ({"LANG": "C.UTF-8"}, "surrogateescape")],
)  # fmt: skip
def test_streams_treat_bytes_as_python_would_have_it(variables: dict[str, str], errors: str) -> None:
    assert choose_errors(variables) == errors


def test_a_locale_of_other_bytes_is_for_python_itself() -> None:
    with pytest.raises(RefusedError):
        choose_errors({"LANG": "de_DE.ISO-8859-1"})


def test_another_program_in_the_place_of_the_client_is_another_version(tmp_path: Path) -> None:
    client = tmp_path / "dvm"
    client.write_bytes(b"one")
    installation = Installation(str(client))
    assert installation.is_current()
    assert installation.is_current(quickly=True)
    assert not installation.is_client(os.getpid())
    (tmp_path / "new").write_bytes(b"two")
    (tmp_path / "new").replace(client)
    assert not installation.is_current()
    assert not installation.is_current(quickly=True)
    client.unlink()
    assert not installation.is_current()


def test_what_is_no_socket_is_not_replaced_by_one(tmp_path: Path) -> None:
    """Connecting to a file is refused as by a dead socket."""
    file, link, dead = tmp_path / "file", tmp_path / "link", tmp_path / "dead"
    file.write_text("precious")
    link.symlink_to(file)
    for path in (file, link, tmp_path):
        with pytest.raises(UsageError, match="exists and is no socket"):
            listen(str(path))
    assert link.read_text() == "precious"
    with pytest.raises(UsageError, match="longer than 107 bytes"):
        listen(str(tmp_path / ("x" * 108)))
    for _ in range(2):  # the second finds what the first left
        listen(str(dead)).close()
    with listen(str(dead)), pytest.raises(OSError, match="in use"):
        listen(str(dead))


def test_other_variables_for_python_are_another_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUTF8", "1")
    client = tmp_path / "dvm"
    client.touch()
    installation = Installation(str(client))
    assert installation.starts_alike(dict(os.environ) | {"OTHER": "1"})
    assert not installation.starts_alike(dict(os.environ) | {"PYTHONPATH": "/x"})
    assert not installation.starts_alike({})
