"""Records: what they say, and how the secret comes into them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from drystone.base.errors import UnsupportedError
from drystone.kernel.iscsi.abc import Timeouts
from drystone.kernel.iscsi.names import Chap, Portal
from drystone.kernel.iscsi.records import record_settings, write_secret

TARGET = "iqn.2026-11.org.example:leg"
CHAP = Chap("user", "secret = # secret".replace(" ", "_"))
RECORD = "# BEGIN RECORD 2.1.8\nnode.name = x\nnode.session.auth.password = old\nnode.startup = manual\n# END RECORD\n"


def test_settings() -> None:
    found = record_settings(CHAP, Timeouts(replacement=7, noop_interval=2, noop_timeout=3, login=4))
    assert found["node.session.timeo.replacement_timeout"] == "7"
    assert found["node.conn[0].timeo.noop_out_interval"] == "2"
    assert found["node.conn[0].timeo.noop_out_timeout"] == "3"
    assert found["node.conn[0].timeo.login_timeout"] == "4"
    assert (found["node.session.auth.authmethod"], found["node.session.auth.username"]) == ("CHAP", "user")
    assert CHAP.secret not in found.values()
    assert record_settings(None, Timeouts())["node.session.auth.authmethod"] == "None"


@pytest.mark.parametrize(("address", "name"), [("10.0.0.1", "10.0.0.1,3260,1"), ("::1", "::1,3260,1")])
def test_the_secret(tmp_path: Path, address: str, name: str) -> None:
    file = tmp_path / TARGET / name / "default"
    file.parent.mkdir(parents=True)
    file.write_text(RECORD)
    for _ in range(2):
        write_secret(str(tmp_path), TARGET, Portal(address), CHAP.secret)
        assert file.read_text().splitlines() == [
            "# BEGIN RECORD 2.1.8",
            "node.name = x",
            "node.startup = manual",
            f"node.session.auth.password = {CHAP.secret}",
            "# END RECORD",
        ]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_record_that_is_elsewhere(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        write_secret(str(tmp_path), TARGET, Portal("10.0.0.1"), CHAP.secret)
    assert CHAP.secret not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
