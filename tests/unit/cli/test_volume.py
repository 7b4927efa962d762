"""`drystone volume` and `drystone snapshot` where no daemon is."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from drystone.base.errors import UnavailableError
from drystone.cli.main import drystone
from drystone.cli.volume.delete import delete_each


@pytest.mark.parametrize(
    "words", [["volume", "list"], ["volume", "delete", "db", "--json"], ["snapshot", "create", "db", "--dry-run"]]
)
def test_without_a_daemon_it_is_said_how_to_start_it(tmp_path: Path, words: list[str]) -> None:
    ran = CliRunner().invoke(drystone, [*words, "--socket", str(tmp_path / "none")])
    assert isinstance(ran.exception, UnavailableError)
    assert ran.exception.hint.startswith("start it: drystone volume daemon;")
    assert not ran.stdout


def test_what_was_deleted_is_said_when_a_later_one_fails(capsys: pytest.CaptureFixture[str]) -> None:
    def delete_one(name: str) -> None:
        if name == "bad":
            raise UnavailableError("gone")

    delete_each(["a"], delete_one, as_json=False)
    assert not capsys.readouterr().out
    with pytest.raises(UnavailableError):
        delete_each(["a", "b", "bad", "c"], delete_one, as_json=True)
    assert capsys.readouterr().out.split() == ["{", '"deleted":', "[", '"a",', '"b"', "]", "}"]
    with pytest.raises(UnavailableError):
        delete_each(["bad"], delete_one, as_json=True)
    assert not capsys.readouterr().out
