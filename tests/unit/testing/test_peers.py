"""Where the other tools are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.testing.peers import Peer, find_peer


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """With tools that print what they were called with."""
    folder = tmp_path / ".peers"
    (folder / "lib").mkdir(parents=True)
    loader = folder / "loader"
    loader.write_text('#!/bin/sh\necho "$@"\n')
    loader.chmod(0o755)
    (folder / "command").write_text("loader\nlib\npdata_tools\n")
    (folder / "version").write_text("1.1.0\n")
    return tmp_path


def test_what_was_fetched_is_run_with_its_own_libraries(checkout: Path) -> None:
    peer = find_peer("1.x", checkout=checkout)
    assert peer is not None
    assert peer.version == "1.1.0"
    done = peer.run("thin_dump", "-m", checkout / "image")
    folder = checkout / ".peers"
    assert done.stdout == f"--library-path {folder}/lib {folder}/pdata_tools thin_dump -m {checkout}/image\n"


def test_a_fetch_that_was_cut_short_is_none(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".peers" / "version").unlink()
    monkeypatch.setenv("PATH", "")
    assert find_peer("1.x", checkout=checkout / ".") is None


@pytest.mark.parametrize(("version", "line"), [("0.9.0", "0.9"), ("1.1.0", "1.x")])
def test_the_machines_own_package_is_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, line: str
) -> None:
    tool = tmp_path / "thin_check"
    tool.write_text(f"#!/bin/sh\necho {version}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = {each: find_peer(each, checkout=tmp_path / version) for each in ("0.9", "1.x")}
    assert found == {each: Peer(each, version, ()) if each == line else None for each in ("0.9", "1.x")}
