"""Tokens: given to callers, and read by who shows one."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import ExistsError, NotFoundError, UsageError
from drystone.cluster.api.tokens import load_tokens
from drystone.cluster.callers import add_caller
from drystone.cluster.token_file import read_token


def test_who_is_given_a_token_is_known_by_it_and_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    given = {"alice": add_caller(path, "alice", "operator"), "h.1": add_caller(path, "h.1", "agent")}
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text(path.read_text() + "# a remark, and no line's end")
    path.chmod(0o640)
    given["eve"] = add_caller(path, "eve", "viewer")
    assert "# a remark" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o640
    tokens = load_tokens(path)
    roles = {}
    for name, token in given.items():
        caller = tokens.find(f"Bearer {token}")
        assert caller is not None
        assert caller.name == name
        roles[name] = caller.role
    assert roles == {"alice": "operator", "h.1": "agent", "eve": "viewer"}
    before = path.read_bytes()
    with pytest.raises(ExistsError, match=r"has a caller 'h\.1'"):
        add_caller(path, "h.1", "agent")
    with pytest.raises(UsageError, match="is not valid"):
        add_caller(path, 'x"]\n', "operator")
    assert path.read_bytes() == before


def test_a_file_that_is_wrong_or_open_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    for text, mode in (("no TOML [", 0o600), ('[a.b]\ntoken = "0123456789abcdef"\n', 0o600)):
        path.write_text(text)
        path.chmod(mode)
        with pytest.raises(UsageError):
            add_caller(path, "alice", "operator")
        assert path.read_text() == text
    path.write_text("")
    path.chmod(0o644)
    add_caller(path, "alice", "operator")
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match="token file"):
        add_caller(tmp_path / "no" / "tokens.toml", "alice", "operator")


def test_one_token_is_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(" 0123456789abcdef \n\n")
    path.chmod(0o640)
    assert read_token(path) == "0123456789abcdef"
    path.chmod(0o644)
    with pytest.raises(UsageError, match="open to everybody"):
        read_token(path)
    path.chmod(0o600)
    for data in (b"", b"two words", b"x\ny", b"\xff\xfe", "tökén".encode(), b"\x00", b"\x1b[2J"):
        path.write_bytes(data)
        with pytest.raises(UsageError):
            read_token(path)
    with pytest.raises(NotFoundError):
        read_token(tmp_path / "none")
    with pytest.raises(UsageError):
        read_token(tmp_path)
