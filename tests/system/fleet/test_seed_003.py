"""The page of Disk Mapper, followed word by word on a fleet that `drystone fleet up` started."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from drystone.testing.fleet.processes import wait_until

_SECONDS = 120


@dataclass(frozen=True)
class Up:
    """A fleet that runs: its one line, and its folder."""

    root: Path
    mapper: str
    storage: list[str]
    line: dict[str, object]

    @property
    def address(self) -> str:
        return self.mapper.removeprefix("http://")

    def zstore(self, *words: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "drystone.cli.fleet.zstore", *map(str, words)],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )

    def url(self, path: str) -> str:
        return f"s3://{self.address}/{path}"


def start(root: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "drystone.cli.main", "fleet", "up", "--root", str(root), "--json"],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str], number: signal.Signals) -> int:
    process.send_signal(number)
    try:
        return process.wait(_SECONDS)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    root = tmp_path_factory.mktemp("up")
    process = start(root)
    try:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        yield Up(root, line["mapper"], line["storage"], line)
    finally:
        assert end(process, signal.SIGINT) == 0


def get(url: str) -> httpx.Response:
    return httpx.get(url, timeout=60, trust_env=False, follow_redirects=False)


def test_1_test_your_installation(up: Up) -> None:
    """`curl localhost/api?action=get_config` on a storage server, `get_all_config` on dm_server."""
    for url in up.storage:
        spare = {"primary": "spare", "secondary": "spare"}
        assert get(f"{url}/api?action=get_config").json() == {"data_1": spare, "data_2": spare, "data_3": spare}
    assert get(f"{up.mapper}/api?action=get_all_config").text == "{}"


def test_2_the_line_says_where_all_is(up: Up) -> None:
    assert set(up.line) == {"mapper", "storage", "s3", "access_key", "secret_key"}
    assert len(up.storage) == 2
    assert (up.root / "storage_1" / "data_3").is_dir()


def test_3_allocation_of_vbuckets(up: Up) -> None:
    """`./initialize_diskmapper.sh -i 0.0.0.0 -g zbase -v 10 -t 32`, then `get_vb_mapping`."""
    words = ["-i", up.address, "-g", "zbase", "-v", "10", "-t", "32"]
    done = subprocess.run(
        [sys.executable, "-m", "drystone.cli.fleet.initialize", *words], check=False, timeout=_SECONDS
    )
    assert done.returncode == 0
    mapping = get(f"{up.mapper}/api?action=get_vb_mapping").json()
    assert list(mapping) == [f"vb_{number}" for number in range(32)]
    groups = [each["vb_group"] for each in mapping.values()]
    assert [groups.count(f"vb_group_{number}") for number in range(4)] == [10, 10, 10, 2]
    addresses = {each.removeprefix("http://") for each in up.storage}
    assert {each["storage_server"] for each in mapping.values()} <= addresses
    assert get(f"{up.mapper}/api?action=get_vb_mapping&vbucket=vb_31").json() == mapping["vb_31"]
    assert get(f"{up.mapper}/api?action=get_vb_mapping&vbucket=vb_32").status_code == 404
    servers = get(f"{up.mapper}/api?action=get_ss_mapping").json()
    assert set(servers) == addresses
    one = up.storage[0].removeprefix("http://")
    assert get(f"{up.mapper}/api?action=get_ss_mapping&storage_server={one}").json() == servers[one]


def test_4_each_disk_has_one_primary_and_one_secondary(up: Up) -> None:
    config = get(f"{up.mapper}/api?action=get_all_config").json()
    assert set(config) == {f"vb_group_{number}" for number in range(4)}
    taken = []
    for host in config.values():
        assert host["primary"]["storage_server"] != host["secondary"]["storage_server"]
        assert {host[slot]["status"] for slot in ("primary", "secondary")} == {"good"}
        taken += [(host[slot]["storage_server"], host[slot]["disk"], slot) for slot in ("primary", "secondary")]
    assert len(set(taken)) == len(taken) == 8


def test_5_zstore_cmd_put(up: Up, tmp_path: Path) -> None:
    """`zstore_cmd put file s3://diskmapper_ip/namspace/hostname/subdirectories/file`."""
    (tmp_path / "file").write_bytes(b"some backup" * 1000)
    done = up.zstore("put", tmp_path / "file", up.url("game/host1/sub/dir/file"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "Saved file to disk\n", "")
    again = up.zstore("put", tmp_path / "file", up.url("game/host1/sub/dir/file"))
    assert (again.returncode, again.stdout) == (0, "")
    copies = list(up.root.glob("storage_*/data_*/*/host1/sub/dir/file"))
    assert sorted(each.parents[3].name for each in copies) == ["primary", "secondary"]
    assert all(each.read_bytes() == b"some backup" * 1000 for each in copies)


def test_6_ls_get_sync_del(up: Up, tmp_path: Path) -> None:
    done = up.zstore("ls", up.url("game/host1/sub"))
    assert done.returncode == 0
    assert [each.partition("/game/")[2] for each in done.stdout.splitlines()] == ["host1/sub/dir/"]
    done = up.zstore("la", up.url("game/host1"))
    assert [each.partition("/game/")[2] for each in done.stdout.splitlines()] == ["host1/sub/dir/file"]

    done = up.zstore("get", up.url("game/host1/sub/dir/file"), tmp_path / "back")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "back").read_bytes() == b"some backup" * 1000

    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "one").write_text("1")
    (folder / "deep" / "two").write_text("2")
    assert up.zstore("sync", folder, up.url("game/host1/synced")).returncode == 0
    assert up.zstore("sync", folder, up.url("game/host1/synced")).stdout == ""
    (folder / "one").write_text("changed")
    assert up.zstore("sync", folder, up.url("game/host1/synced")).stdout.count("Saved file to disk") == 1
    assert up.zstore("sync", up.url("game/host1/synced"), tmp_path / "copy").returncode == 0
    assert (tmp_path / "copy" / "one").read_text() == "changed"
    assert (tmp_path / "copy" / "deep" / "two").read_text() == "2"

    done = up.zstore("del", up.url("game/host1/sub/dir/file"))
    assert done.returncode == 0
    assert done.stdout.startswith("Deleted ")
    for command in ("get", "del"):
        done = up.zstore(command, up.url("game/host1/sub/dir/file"))
        assert (done.returncode, done.stdout) == (1, "")
        assert "File not found." in done.stderr


def test_7_a_storage_servers_address_serves_as_well(up: Up, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("by another door")
    for url in up.storage:
        place = f"s3://{url.removeprefix('http://')}/game/host1/door"
        assert up.zstore("put", tmp_path / "file", place).returncode == 0
        assert up.zstore("get", place, tmp_path / "back").returncode == 0
        assert (tmp_path / "back").read_text() == "by another door"


def test_8_redirects(up: Up) -> None:
    answer = get(f"{up.mapper}/api/game/host1/door")
    assert answer.status_code == 302
    assert answer.headers["location"] in {f"{url}/api/game/host1/door" for url in up.storage}
    assert get(f"{up.mapper}/api/game/unknown/file").status_code == 404
    assert get(f"{up.mapper}/api/game").status_code == 400
    assert get(f"{up.mapper}/api?action=nonsense").text == "Invalid arguments."


@pytest.mark.parametrize(
    "words",
    [["put", "/nonexistent", "s3://127.0.0.1:1/ns/h/f"], ["get", "http://x/y"], ["ls", "s3://"], ["ls", "s3://127.0.0.1:1/ns/h"]],
)  # fmt: skip
def test_9_what_cannot_be_done_is_said_in_a_line(up: Up, words: list[str]) -> None:
    done = up.zstore(*words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("zstore_cmd: ")
    assert done.stderr.count("\n") == 1


def test_started_again_it_has_the_same_data_and_key_and_leaves_nothing_behind(tmp_path: Path) -> None:
    lines = []
    for _ in range(2):
        process = start(tmp_path / "up")
        try:
            assert process.stdout is not None
            lines.append(json.loads(process.stdout.readline()))
            mapper = lines[-1]["mapper"].removeprefix("http://")
            words = [sys.executable, "-m", "drystone.cli.fleet.zstore"]
            if len(lines) == 1:
                subprocess.run([*words, "put", __file__, f"s3://{mapper}/ns/h/f"], check=True, timeout=_SECONDS)
            else:
                back = tmp_path / "back"
                subprocess.run([*words, "get", f"s3://{mapper}/ns/h/f", back], check=True, timeout=_SECONDS)
                assert back.read_bytes() == Path(__file__).read_bytes()
        finally:
            assert end(process, signal.SIGTERM) == 0
    assert lines[0]["secret_key"] == lines[1]["secret_key"]
    assert find_processes(tmp_path / "up") == []


def test_killed_it_leaves_no_server_behind(tmp_path: Path) -> None:
    process = start(tmp_path / "up")
    assert process.stdout is not None
    json.loads(process.stdout.readline())
    assert len(find_processes(tmp_path / "up")) >= 4
    end(process, signal.SIGKILL)
    wait_until("nothing of it runs", lambda: find_processes(tmp_path / "up") == [])


def find_processes(root: Path) -> list[Path]:
    """Those of a fleet over a folder."""
    return [
        each
        for each in Path("/proc").glob("[0-9]*/cmdline")
        if os.fsencode(root) in _read(each) and b"fleet" in _read(each)
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
