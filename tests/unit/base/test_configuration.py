"""Settings from a TOML file and from flags."""

from pathlib import Path

import msgspec
import pytest

from drystone.base.configuration import check_tls, check_url, load
from drystone.base.errors import NotFoundError, UsageError


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """A server's."""

    name: str
    place: Path = Path("/")
    numbers: tuple[int, ...] = ()


def read(path: Path | None, **flags: object) -> Settings:
    return load(Settings, path, flags, "clock", hint="look")


def test_flags_win_over_the_file_and_those_not_given_do_not(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('name = "one"\nplace = "/srv"\nnumbers = [1, 2]\n')
    assert read(tmp_path / "c.toml", name="two", place=None) == Settings("two", Path("/srv"), (1, 2))
    assert read(None, name="three", place=Path("/x")) == Settings("three", Path("/x"))


@pytest.mark.parametrize(
    "text", ["", "name = 5", 'name = "x"\nmore = 1', 'name = "x"\nplace = 5', "= ", "name = '\xff"]
)
def test_wrong_values_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError, match="configuration"):
        read(tmp_path / "c.toml")


def test_a_file_that_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read(tmp_path / "c.toml")
    with pytest.raises(UsageError):
        read(tmp_path)


def test_what_goes_together(tmp_path: Path) -> None:
    check_tls(None, None)
    check_tls(tmp_path, tmp_path)
    for pair in ((tmp_path, None), (None, tmp_path)):
        with pytest.raises(UsageError, match="go together"):
            check_tls(*pair)
    check_url("https://host:1")
    for url in ("", "ftp://x", "http://host/"):
        with pytest.raises(UsageError):
            check_url(url)
