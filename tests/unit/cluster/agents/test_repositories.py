"""Repositories of an ihost: what its configuration says, and what is wrong with it, without its secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import NotFoundError, UsageError
from drystone.cli.cluster.configuration import IhostConfiguration, load_as
from drystone.cluster.agents.repositories import Repositories, read_environment
from drystone.cluster.agents.repository_settings import RepositorySettings


def test_a_repository_is_made_once_and_found_by_its_name(tmp_path: Path) -> None:
    passphrase = tmp_path / "pass"
    passphrase.touch(0o600)
    passphrase.write_text("correct horse\n")
    settings = RepositorySettings(url=f"vfs://{tmp_path}/r", passphrase_file=passphrase)
    found = Repositories({"nightly": settings})
    assert found.open("nightly").list() == []
    with pytest.raises(UsageError):
        Repositories({"nightly": RepositorySettings(url=f"vfs://{tmp_path}/r")}).open("nightly")
    with pytest.raises(NotFoundError, match="no repository 'weekly'"):
        found.open("weekly")


def test_an_environment_is_read_from_a_file_that_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "nightly.env"
    path.touch(0o600)
    path.write_text("# of the store\n\nAWS_ACCESS_KEY_ID = key\nAWS_SECRET_ACCESS_KEY=a=secret\n")
    assert read_environment(path) == {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "a=secret"}
    path.chmod(0o640)
    with pytest.raises(UsageError, match="others than its owner"):
        read_environment(path)


@pytest.mark.parametrize("data", [b"a-secret\n", b"=a-secret\n", b"A=\xff\xfea-secret"])
def test_a_file_that_is_none_is_told_without_what_is_in_it(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "nightly.env"
    path.touch(0o600)
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"nightly\.env") as caught:
        read_environment(path)
    assert "secret" not in str(caught.value)
    with pytest.raises(UsageError, match="No such file"):
        read_environment(tmp_path / "none")


def test_the_configuration_has_a_table_for_each(tmp_path: Path) -> None:
    path = tmp_path / "ihost.toml"
    path.write_text('name = "h1"\n[repositories.nightly]\nurl = "s3://b"\nenvironment = "/etc/n.env"\n')
    found = load_as(IhostConfiguration, path, {})
    assert found.repositories == {"nightly": RepositorySettings(url="s3://b", environment=Path("/etc/n.env"))}
    path.write_text('name = "h1"\n[repositories.nightly]\nurl = "s3://b"\npassphrase = "a-secret"\n')
    with pytest.raises(UsageError, match="passphrase") as caught:
        load_as(IhostConfiguration, path, {})
    assert "secret" not in str(caught.value)
