"""Docker's volume plugin: what Docker 20.10.24 asked, recorded of a real one, asked of a daemon once more.

docker/life.jsonl: `docker volume create --opt size=1g db`, inspect, ls; two containers are started that have it, both
are stopped; it is removed. docker/killed.jsonl: two containers have a volume, one of them with --restart=always; Docker
is killed with all containers, and is started again; both containers and the volume are removed. Of the container that
did not start again no Unmount comes.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import Host

RECORDINGS = Path(__file__).with_name("docker")


@pytest.fixture
def docker(running: Host) -> Iterator[httpx.Client]:
    """What asks as Docker does."""
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(running.socket)), base_url="http://", timeout=120
    ) as client:
        yield client


def ask(docker: httpx.Client, path: str, body: str | Mapping[str, object] = "", accept: str = "") -> Any:
    content = body if isinstance(body, str) else json.dumps(body)
    answer = docker.post(f"http://docker{path}", content=content, headers={"Accept": accept} if accept else {})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.docker.plugins.v1.1+json"
    return answer.json()


class Expected:
    """What a plugin answers to a request, by Docker's documentation, where all goes well."""

    def __init__(self) -> None:
        self.volumes: set[str] = set()
        self.holders: set[str] = set()

    def check(self, verb: str, body: dict[str, Any], answer: dict[str, Any]) -> None:
        name = body.get("Name", "")
        if verb == "Get" and name not in self.volumes:
            assert answer == {"Err": f"there is no volume {name!r}"}
            return
        assert answer.pop("Err") == ""
        match verb:
            case "Plugin.Activate":
                assert answer == {"Implements": ["VolumeDriver"]}
            case "Capabilities":
                assert answer == {"Capabilities": {"Scope": "local"}}
            case "Create":
                self.volumes.add(name)
                assert answer == {}
            case "Remove":
                self.volumes.discard(name)
                self.holders.clear()
                assert answer == {}
            case "Mount":
                self.holders.add(body["ID"])
                assert Path(answer["Mountpoint"]).is_dir()
            case "Unmount":
                self.holders.discard(body["ID"])
                assert answer == {}
            case "Get":
                assert answer["Volume"]["Name"] == name
                assert bool(answer["Volume"]["Mountpoint"]) == bool(self.holders)
            case "List":
                assert {each["Name"] for each in answer["Volumes"]} == self.volumes
            case _:
                raise AssertionError(verb)


@pytest.mark.parametrize("recording", ["life", "killed"])
def test_what_a_real_docker_asked(running: Host, docker: httpx.Client, recording: str) -> None:
    expected = Expected()
    lines = (RECORDINGS / f"{recording}.jsonl").read_text().splitlines()
    assert len(lines) > 15
    for number, line in enumerate(lines):
        request = json.loads(line)
        verb = request["path"].removeprefix("/VolumeDriver.").removeprefix("/")
        if verb == "Plugin.Activate" and number > 0:  # Docker was killed here, and so is the daemon
            running.stop(signal.SIGKILL)
            running.start()
        answer = ask(docker, request["path"], request["body"], request["accept"])
        expected.check(verb, json.loads(request["body"] or "{}"), answer)
    assert (expected.volumes, expected.holders) == (set(), set())
    assert running.convoy("list").document == {}


def test_one_containers_unmount_does_not_take_the_volume_from_another(running: Host, docker: httpx.Client) -> None:
    assert ask(docker, "/VolumeDriver.Create", {"Name": "db"}) == {"Err": ""}
    place = ask(docker, "/VolumeDriver.Mount", {"Name": "db", "ID": "one"})["Mountpoint"]
    assert ask(docker, "/VolumeDriver.Mount", {"Name": "db", "ID": "two"})["Mountpoint"] == place
    for _ in range(2):  # Docker asks again when an answer was lost
        assert ask(docker, "/VolumeDriver.Unmount", {"Name": "db", "ID": "one"}) == {"Err": ""}
        assert ask(docker, "/VolumeDriver.Path", {"Name": "db"}) == {"Err": "", "Mountpoint": place}
    assert "a container has volume db" in running.convoy("umount", "db").error
    assert running.convoy("mount", "db").text == place
    ask(docker, "/VolumeDriver.Unmount", {"Name": "db", "ID": "two"})
    assert ask(docker, "/VolumeDriver.Path", {"Name": "db"})["Mountpoint"] == place, "it is mounted by hand, too"
    assert "is mounted at" in ask(docker, "/VolumeDriver.Remove", {"Name": "db"})["Err"]
    running.convoy("umount", "db")
    assert ask(docker, "/VolumeDriver.Path", {"Name": "db"})["Mountpoint"] == ""


def test_holders_outlive_the_daemon_and_are_overruled_by_force(running: Host, docker: httpx.Client) -> None:
    ask(docker, "/VolumeDriver.Create", {"Name": "db", "Opts": None})
    ask(docker, "/VolumeDriver.Mount", {"Name": "db"})
    running.stop(signal.SIGKILL)
    running.start()
    assert ask(docker, "/VolumeDriver.Path", {"Name": "db"})["Mountpoint"]
    refused = running.drystone("volume", "umount", "db")
    assert (refused.code, "umount --force" in refused.err) == (5, True)
    assert running.drystone("volume", "umount", "db", "--force").code == 0
    assert ask(docker, "/VolumeDriver.Unmount", {"Name": "db"}) == {"Err": ""}


def test_a_volume_with_snapshots_is_not_removed_unasked(running: Host, docker: httpx.Client) -> None:
    ask(docker, "/VolumeDriver.Create", {"Name": "db"})
    running.convoy("snapshot", "create", "db", "--name", "monday")
    assert "has snapshots" in ask(docker, "/VolumeDriver.Remove", {"Name": "db"})["Err"]
    running.stop()
    running.options.append("--docker-rm-snapshots")
    running.start()
    assert ask(docker, "/VolumeDriver.Remove", {"Name": "db"}) == {"Err": ""}


def test_create_is_idempotent_and_reads_its_options(running: Host, docker: httpx.Client) -> None:
    wanted = {"Name": "image", "Opts": {"vm": "true", "size": "1m", "driver": "vfs"}}
    for _ in range(2):
        assert ask(docker, "/VolumeDriver.Create", wanted) == {"Err": ""}
    assert len(running.convoy("list").document) == 1
    for opts, problem in (
        ({"size": "2m"}, "not 2097152"),
        ({"driver": "other"}, "of driver vfs, not other"),
        ({"sise": "1m"}, "sise"),
        ({"vm": "perhaps"}, "true or false"),
        ({"iops": "-1"}, "no whole number"),
        ({"size": "many"}, "many"),
        ({"backup": "nowhere"}, "nowhere"),
    ):
        name = "image" if "not " in problem else "new"
        assert problem in ask(docker, "/VolumeDriver.Create", {"Name": name, "Opts": opts})["Err"]
    assert len(running.convoy("list").document) == 1


def test_requests_that_are_wrong_change_nothing(docker: httpx.Client) -> None:
    for verb in ("Create", "Remove", "Mount", "Unmount", "Path", "Get"):
        for body in ("", "{", "[]", '{"Name": 5}', '{"Name": ""}', '{"Name": "../a", "ID": "x"}'):
            assert ask(docker, f"/VolumeDriver.{verb}", body)["Err"], (verb, body)
    assert ask(docker, "/VolumeDriver.List", "{}") == {"Err": "", "Volumes": []}


def test_a_volume_is_meant_by_its_whole_name(running: Host, docker: httpx.Client) -> None:
    uuid = running.convoy("create", "database").text
    for name in ("data", uuid, uuid[:8]):
        assert "there is no volume" in ask(docker, "/VolumeDriver.Remove", {"Name": name})["Err"]
    status = ask(docker, "/VolumeDriver.Get", {"Name": "database"})["Volume"]["Status"]
    assert status["PrepareForVM"] == "false"
