"""What the cluster's servers are told: from files and flags, and what does not go together."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from drystone.base.errors import NotFoundError, UsageError
from drystone.cli.cluster.configuration import (
    ApiConfiguration,
    DpvConfiguration,
    IhostConfiguration,
    MonitorConfiguration,
    load_as,
)
from drystone.cli.cluster.serving import begin, cluster_libraries

DPV = {"disk": "/dev/sdb", "portals": ("10.0.0.1:3260",)}
FILES = {"certificate": Path("a.pem"), "key_file": Path("a.key")}


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "dpv.toml"
    path.write_text('disk = "/dev/sdb"\nportals = ["10.0.0.1:3260", "[fd00::1]:3260"]\nclients = "/a.pem"\n')
    found = load_as(DpvConfiguration, path, {"disk": "/dev/sdc", "listen": None})
    assert (found.disk, found.listen, found.clients) == ("/dev/sdc", "127.0.0.1:9400", Path("/a.pem"))
    assert found.portals == ("10.0.0.1:3260", "[fd00::1]:3260")


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        (ApiConfiguration, 'listn = "x"', "listn"),
        (ApiConfiguration, "listen = 5", "Expected `str`"),
        (DpvConfiguration, "", "missing required field `disk`"),
        (IhostConfiguration, "", "missing required field `name`"),
        (MonitorConfiguration, 'pause = "soon"', "pause"),
        (MonitorConfiguration, "pause = [", "configuration"),
        (MonitorConfiguration, "queue = 5", "queue"),
    ],
)
def test_a_file_that_is_wrong_is_told(kind: type[msgspec.Struct], text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=told):
        load_as(kind, path, {})
    with pytest.raises(NotFoundError):
        load_as(kind, tmp_path / "none", {})


@pytest.mark.parametrize("listen", ["127.0.0.1:9300", "[::1]:9300", "localhost:9300"])
def test_an_api_is_plain_where_nobody_else_reaches_it(listen: str) -> None:
    assert ApiConfiguration(listen=listen).tls() is None


def test_an_api_that_others_reach_has_tls_or_says_that_it_has_not() -> None:
    for listen in (":9300", "0.0.0.0:9300", "10.0.0.5:9300"):
        with pytest.raises(UsageError, match="others could read tokens"):
            ApiConfiguration(listen=listen).tls()
        assert ApiConfiguration(listen=listen, plain=True).tls() is None
        tls = ApiConfiguration(listen=listen, certificate=Path("a.pem"), key_file=Path("a.key")).tls()
        assert tls is not None
        assert (tls.certificate, tls.key) == (Path("a.pem"), Path("a.key"))
    with pytest.raises(UsageError, match="go together"):
        ApiConfiguration(certificate=Path("a.pem")).tls()


@pytest.mark.parametrize("names", [(), ("certificate",), ("certificate", "key_file"), ("clients",)])
def test_an_agent_has_all_of_tls_or_is_plain(names: tuple[str, ...]) -> None:
    files = {name: f"/{name}" for name in names}
    some = load_as(DpvConfiguration, None, {**DPV, **files})
    with pytest.raises(UsageError, match="needs a certificate"):
        some.tls()
    plain = load_as(DpvConfiguration, None, {**DPV, **files, "plain": True})
    if names:
        with pytest.raises(UsageError, match="needs a certificate"):
            plain.tls()
    else:
        assert plain.tls() is None
    whole = load_as(IhostConfiguration, None, {"name": "h1", **FILES, "clients": "/c.pem"}).tls()
    assert whole is not None
    assert whole.clients == Path("/c.pem")


def test_a_monitor_has_all_of_tls_or_none() -> None:
    assert MonitorConfiguration().tls() is None
    tls = MonitorConfiguration(certificate=Path("a"), key_file=Path("b"), authority=Path("c")).tls()
    assert tls is not None
    assert (tls.certificate, tls.key, tls.authority) == (Path("a"), Path("b"), Path("c"))
    with pytest.raises(UsageError, match="go together"):
        MonitorConfiguration(authority=Path("c")).tls()


@pytest.mark.parametrize(("pause", "patience"), [(0.0, 10), (float("nan"), 10), (4000.0, 10), (1.0, 0), (1.0, 1 << 40)])
def test_a_monitor_that_could_not_work_is_refused(pause: float, patience: int) -> None:
    MonitorConfiguration().check()
    with pytest.raises(UsageError, match="a monitor pauses"):
        MonitorConfiguration(pause=pause, patience=patience).check()


def test_files_of_servers_are_theirs_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        begin(debug=False)
        (tmp_path / "made").touch()
    finally:
        os.umask(before)
    assert (tmp_path / "made").stat().st_mode & 0o077 == 0


def test_a_library_that_is_not_there_is_named() -> None:
    with pytest.raises(Exception, match=r"the cluster needs alembic .*pip install"), cluster_libraries():
        raise ImportError("no", name="alembic")
