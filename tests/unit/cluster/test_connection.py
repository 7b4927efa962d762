"""Where the API may be; what it says over a connection: tests/system/cluster/test_commands.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import UnavailableError, UsageError
from drystone.cluster.connection import Connection, trusting


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "is not http"),
        ("ftp://127.0.0.1", "is not http"),
        ("http://", "is not http"),
        ("http://127.0.0.1:99999", "is no URL"),
        ("http://127.0.0.1:x", "is no URL"),
        ("http://[::1", "is no URL"),
        ("http://127.0.0.1/v1", "is not http"),
        ("http://10.0.0.1:9300", "others could read secrets"),
        ("http://api.example:9300", "others could read secrets"),
    ],
)
def test_what_is_no_api_is_refused(url: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        Connection("the API", url, seconds=1)


def test_an_authority_that_is_none_is_refused(tmp_path: Path) -> None:
    for text in ("", "no PEM"):
        (tmp_path / "a.pem").write_text(text)
        with pytest.raises(UsageError, match="certificates of"):
            trusting(tmp_path / "a.pem")
    with pytest.raises(UsageError, match="certificates of"):
        trusting(tmp_path / "none")


def test_nobody_is_there() -> None:
    with pytest.raises(UnavailableError, match=r"cannot talk to the API at http://127\.0\.0\.1:1: Connection refused"):
        Connection("the API", "http://127.0.0.1:1/", seconds=1).send("GET", "/v1/health", None, {})
