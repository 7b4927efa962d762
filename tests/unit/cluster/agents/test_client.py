"""An agent as it is called: what comes back, which errors, and who is not talked to."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from msgspec.structs import replace

from drystone.base.errors import (
    DrystoneError,
    ExhaustedError,
    MismatchError,
    NotFoundError,
    TimedOutError,
    UnavailableError,
    UsageError,
)
from drystone.cluster.agents.answers import LegsSeen, VolumeSeen
from drystone.cluster.agents.client import AgentClient
from drystone.cluster.agents.door import MutualTls
from drystone.cluster.connection import ClientTls
from drystone.testing.cluster.bench import DLV, DpvHost, legs_wishes, make_dlv

from .test_door import Authority, served
from .test_ihost import attached, make_ihost


@pytest.fixture
def host(tmp_path: Path) -> DpvHost:
    return DpvHost(tmp_path / "dpv0", "127.0.0.1:3261")


def address(url: str) -> str:
    return url.partition("://")[2]


def test_legs(host: DpvHost) -> None:
    wish = legs_wishes(make_dlv())["dpv0"]
    with served(host.agent) as url:
        client = AgentClient(address(url))
        client.check()
        with pytest.raises(NotFoundError):
            client.look(DLV, LegsSeen)
        seen = client.put(wish)
        assert seen == host.agent.look(DLV) == client.look(DLV, LegsSeen)
        assert client.survey() == host.agent.survey()


def test_a_volume(tmp_path: Path) -> None:
    host = make_ihost(tmp_path)
    _, wish = attached()
    with served(host.agent) as url:
        client = AgentClient(address(url))
        assert client.put(wish) == host.agent.look(DLV) == client.look(DLV, VolumeSeen)


def test_an_error_there_is_the_same_error_here(host: DpvHost) -> None:
    dlv = make_dlv(epoch=3)
    wish = legs_wishes(dlv)["dpv0"]
    with served(host.agent) as url:
        client = AgentClient(address(url))
        client.put(wish)
        with pytest.raises(MismatchError) as raised:
            client.put(replace(wish, epoch=2))
        assert raised.value.facts["epoch"] == 3
        large = replace(dlv, id="large", legs=[replace(leg, id=f"x{leg.id}", extents=60) for leg in dlv.legs])
        with pytest.raises(ExhaustedError):
            client.put(legs_wishes(large)["dpv0"])
        with pytest.raises(UsageError):
            client.put(replace(wish, dlv="../x"))


def test_an_answer_about_something_else_is_not_taken(host: DpvHost) -> None:
    """As when a newer wish was taken while this one was waited for."""
    old, new = (legs_wishes(make_dlv(epoch=epoch))["dpv0"] for epoch in (1, 2))

    class Overtaken:
        kind = host.agent.kind
        look, survey = host.agent.look, host.agent.survey

        def put(self, _: object) -> LegsSeen:
            return host.agent.put(new)

    with served(Overtaken()) as url, pytest.raises(MismatchError):
        AgentClient(address(url)).put(old)


def test_nobody_there(host: DpvHost) -> None:
    with served(host.agent) as url:
        client = AgentClient(address(url))
    with pytest.raises(UnavailableError):
        client.check()


def test_an_agent_that_hangs_is_not_waited_for(host: DpvHost) -> None:
    out = threading.Event()

    def hang() -> None:
        assert out.wait(30)

    host.slices.before_have = hang
    with served(host.agent) as url:
        try:
            with pytest.raises(TimedOutError):
                AgentClient(address(url), seconds=0.2).put(legs_wishes(make_dlv())["dpv0"])
        finally:
            out.set()


@pytest.mark.parametrize("place", ["", "10.0.0.1:7001", "agent.example:7001", "127.0.0.1:99999", "[", "127.0.0.1/x"])
def test_what_is_no_address_or_would_be_overheard_is_refused(place: str) -> None:
    with pytest.raises(UsageError):
        AgentClient(place)


def test_by_certificates(host: DpvHost, tmp_path: Path) -> None:
    ours, others = Authority(tmp_path / "ours"), Authority(tmp_path / "others")
    tls = MutualTls(*ours.issue("dpv0", ExtendedKeyUsageOID.SERVER_AUTH), clients=ours.certificate)
    monitor = ours.issue("monitor", ExtendedKeyUsageOID.CLIENT_AUTH)
    stranger = others.issue("monitor", ExtendedKeyUsageOID.CLIENT_AUTH)
    with served(host.agent, tls=tls) as url:
        place = address(url)
        AgentClient(place, tls=ClientTls(*monitor, authority=ours.certificate)).put(legs_wishes(make_dlv())["dpv0"])
        for wrong in (
            ClientTls(*stranger, authority=ours.certificate),
            ClientTls(*monitor, authority=others.certificate),
        ):
            with pytest.raises(UnavailableError):
                AgentClient(place, tls=wrong).check()
        with pytest.raises(DrystoneError):
            AgentClient(place).check()
    with pytest.raises(UsageError):
        AgentClient(place, tls=ClientTls(monitor[0], stranger[1], authority=ours.certificate))
    with pytest.raises(UsageError):
        AgentClient(place, tls=ClientTls(*monitor, authority=tmp_path / "nowhere"))
