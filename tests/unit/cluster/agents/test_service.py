"""The agents as processes: what is refused before a kernel is asked. tests/kernel/cluster shows the rest."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError, UsageError
from drystone.cluster.agents.service import DpvSettings, IhostSettings, run_dpv_agent, run_ihost_agent


def never(url: str) -> None:
    raise AssertionError(f"it serves at {url}")


@pytest.fixture
def ihost(tmp_path: Path) -> IhostSettings:
    token = tmp_path / "token"
    token.write_text("the-token-of-the-agent\n")
    token.chmod(0o600)
    return IhostSettings(
        listen="127.0.0.1:0",
        folder=tmp_path / "notes",
        name="ihost0",
        api="http://127.0.0.1:7000",
        token=token,
        plain=True,
    )


@pytest.mark.parametrize("portals", [(), ("nowhere",), ("127.0.0.1:99999",)])
def test_a_dpv_without_a_portal_is_none(tmp_path: Path, portals: tuple[str, ...]) -> None:
    settings = DpvSettings(
        listen="127.0.0.1:0", folder=tmp_path / "notes", disk="/dev/none", portals=portals, plain=True
    )
    with pytest.raises(UsageError):
        asyncio.run(run_dpv_agent(settings, never))


@pytest.mark.parametrize("api", ["http://10.0.0.1:7000", "127.0.0.1:7000", "https://", "http://127.0.0.1:99999"])
def test_an_api_that_is_none_or_would_be_overheard_is_refused(ihost: IhostSettings, api: str) -> None:
    with pytest.raises(UsageError):
        asyncio.run(run_ihost_agent(replace(ihost, api=api), never))


def test_a_token_that_others_can_read_is_refused(ihost: IhostSettings) -> None:
    ihost.token.chmod(0o604)
    with pytest.raises(UsageError, match="open to everybody"):
        asyncio.run(run_ihost_agent(ihost, never))
    ihost.token.unlink()
    with pytest.raises(NotFoundError):
        asyncio.run(run_ihost_agent(ihost, never))


def test_an_authority_that_cannot_be_read_is_refused(ihost: IhostSettings) -> None:
    with pytest.raises(UsageError, match="certificates of"):
        asyncio.run(run_ihost_agent(replace(ihost, api="https://api:7000", authority=ihost.token), never))
