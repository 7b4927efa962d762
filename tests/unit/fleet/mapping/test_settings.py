"""A mapper's settings."""

from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError, UsageError
from drystone.fleet.mapping.settings import load_settings


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text('listen = "127.0.0.1:1"\nservers = ["s1", "s2"]\ndead = 8\n')
    settings = load_settings(tmp_path / "m.toml", {"listen": "127.0.0.1:2", "url": None})
    assert settings.listen == "127.0.0.1:2"
    assert settings.rules().servers == {"s1", "s2"}
    assert settings.rules().dead == 8.0


@pytest.mark.parametrize(
    "text",
    [
        "nonsense = 1",
        "listen = 5",
        "dead = 1",
        "copies = 0",
        'certificate = "x"',
        'url = "ftp://x"',
        "= ",
        "replace = 3",
    ],
)
def test_wrong_values_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(UsageError):
        load_settings(tmp_path / "m.toml", {})


@pytest.mark.parametrize("text", ["leftover = -1", "forgotten = -1"])
def test_who_deletes_before_the_time_is_told_so(text: str, tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(UsageError, match="0 or more"):
        load_settings(tmp_path / "m.toml", {})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        load_settings(tmp_path / "m.toml", {})
