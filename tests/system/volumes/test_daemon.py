"""The daemon as a process: its routes by hand, its end, its death, and a second one."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from .conftest import Host


def client(host: Host) -> httpx.Client:
    return httpx.Client(transport=httpx.HTTPTransport(uds=str(host.socket)), base_url="http://daemon", timeout=120)


def test_routes_are_bare_and_under_v1(running: Host) -> None:
    with client(running) as http:
        for prefix in ("", "/v1"):
            made = http.post(f"{prefix}/volumes/create", json={"Name": f"db{len(prefix)}"})
            assert (made.status_code, made.headers["content-type"].split(";")[0]) == (200, "text/plain")
            body = {"VolumeUUID": made.text}
            assert http.request("GET", f"{prefix}/volumes/", json=body).json()["UUID"] == made.text
            assert made.text in http.request("GET", f"{prefix}/volumes/list", json={}).json()
            assert http.get(f"{prefix}/info").json()["General"]["DefaultDriver"] == "vfs"
            assert http.request("GET", f"{prefix}/uuid", json={"Key": f"db{len(prefix)}"}).json() == {"UUID": made.text}
            snapshot = http.post(f"{prefix}/snapshots/create", json={**body, "Name": f"s{len(prefix)}"}).text
            named = {"SnapshotUUID": snapshot}
            assert http.request("GET", f"{prefix}/snapshots/", json=named).json()["VolumeUUID"] == made.text
            assert http.request("DELETE", f"{prefix}/snapshots/", json=named).status_code == 200
            assert http.post(f"{prefix}/volumes/mount", json=body).text.startswith("/")
            assert http.post(f"{prefix}/volumes/umount", json=body).status_code == 200
            assert http.request("DELETE", f"{prefix}/volumes/", json=body).status_code == 200


def test_failures_are_text_or_problem_documents(running: Host) -> None:
    with client(running) as http:
        plain = http.request("GET", "/volumes/", json={"VolumeUUID": "x"})
        assert (plain.status_code, plain.text) == (404, "there is no volume 'x'\n")
        asked = http.request("GET", "/volumes/", json={"VolumeUUID": "x"}, headers={"Accept": "application/json"})
        assert asked.headers["content-type"] == "application/problem+json"
        assert (asked.json()["status"], asked.json()["code"]) == (404, "not-found")
        assert asked.json()["request_id"] == asked.headers["x-request-id"]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"[" * 200_000, 400),
        (b'{"Name": 5}', 400),
        (b'{"Name": "\\ud800"}', 400),
        (b'{"Name": "db", "Size": 1e300}', 400),
        (b"\xff\xfe", 400),
        (b"x" * 3_000_000, 413),
    ],
    ids=lambda each: repr(each)[:24],
)
def test_bodies_that_are_wrong(running: Host, content: bytes, status: int) -> None:
    with client(running) as http:
        assert http.post("/volumes/create", content=content).status_code == status
        assert http.get("/nowhere").status_code == 404
        assert http.get("/volumes/create").status_code == 405
        assert http.request("GET", "/volumes/list").json() == {}


def test_a_client_that_hangs_holds_nobody_up(running: Host) -> None:
    with socket.socket(socket.AF_UNIX) as hanging, socket.socket(socket.AF_UNIX) as silent:
        hanging.connect(str(running.socket))
        hanging.sendall(b"POST /volumes/create HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        silent.connect(str(running.socket))
        with client(running) as http:
            assert http.get("/info").status_code == 200


def test_the_socket_is_for_root_and_its_group(running: Host) -> None:
    assert stat.S_IMODE(running.socket.stat().st_mode) == 0o660
    assert stat.S_IMODE(running.root.stat().st_mode) == 0o700


def test_sigterm_finishes_what_is_under_way(running: Host) -> None:
    place = Path(running.convoy("create", "db").text and running.convoy("mount", "db").text)
    with (place / "file").open("wb") as file:
        file.write(b"\xa5" * (192 << 20))
    answers: list[str] = []
    asking = threading.Thread(target=lambda: answers.append(running.convoy("snapshot", "create", "db").out))
    asking.start()
    limit = time.monotonic() + 60
    while not list((running.volumes / ".snapshots").iterdir()):
        assert time.monotonic() < limit
        time.sleep(0.005)
    assert running.stop() == 0
    asking.join()
    assert not running.socket.exists()
    running.start()
    assert running.convoy("snapshot", "inspect", answers[0].strip()).code == 0


def make_large_snapshot(host: Host) -> None:
    """Snapshot `one` of volume `db`, of which a backup takes a while."""
    place = Path(host.call("POST", "/volumes/create", {"Name": "db"}) and mount(host))
    with (place / "file").open("wb") as file:
        for number in range(192):
            file.write(number.to_bytes(4, "big") * (1 << 18))
    host.call("POST", "/snapshots/create", {"VolumeUUID": "db", "Name": "one"})


def mount(host: Host) -> str:
    place = host.call("POST", "/volumes/mount", {"VolumeUUID": "db"})
    assert isinstance(place, str)
    return place


def wait_for_work(host: Host, *, some: bool) -> None:
    """Wait until something, or nothing, is under way."""
    limit = time.monotonic() + 60
    while bool(host.call("GET", "/work")) != some:
        assert time.monotonic() < limit
        time.sleep(0.002)


def test_the_daemon_goes_on_with_a_backup_after_ctrl_c(running: Host) -> None:
    make_large_snapshot(running)
    dest = f"vfs://{running.folder / 'backups'}"
    words = [sys.executable, "-m", "drystone.cli.convoy", "-s", str(running.socket), "backup", "create", "one"]
    asking = subprocess.Popen([*words, "--dest", dest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_work(running, some=True)
    asking.send_signal(signal.SIGINT)
    out, err = asking.communicate(timeout=120)
    assert (asking.returncode, out) == (130, "")
    assert "the daemon goes on with it" in err
    wait_for_work(running, some=False)
    (document,) = running.call("GET", "/backups/list", {"URL": dest}).values()
    assert document["SnapshotName"] == "one"


def test_a_second_signal_ends_it_at_once_and_the_next_start_mends_that(running: Host) -> None:
    make_large_snapshot(running)
    dest = f"vfs://{running.folder / 'backups'}"
    asking = threading.Thread(target=running.convoy, args=("backup", "create", "one", "--dest", dest))
    asking.start()
    wait_for_work(running, some=True)
    assert running.process is not None
    running.process.send_signal(signal.SIGTERM)
    while "a second signal ends it now" not in running.log.read_text():
        time.sleep(0.002)
    assert running.stop() == -signal.SIGTERM
    asking.join()
    running.start()
    assert running.convoy("snapshot", "inspect", "one").code == 0
    assert running.convoy("backup", "list", dest).document == {}
    running.convoy("backup", "create", "one", "--dest", dest)
    assert len(running.convoy("backup", "list", dest).document) == 1


def test_a_reader_that_goes_away_is_no_failure_to_talk_about(running: Host) -> None:
    for words in (["drystone.cli.convoy", "info"], ["drystone.cli.main", "volume", "info"]):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run(
            [sys.executable, "-m", *words],
            stdout=writer,
            stderr=subprocess.PIPE,
            check=False,
            env={**os.environ, "DRYSTONE_SOCKET": str(running.socket)},
        )
        os.close(writer)
        assert b"Traceback" not in done.stderr
        assert done.returncode == 141


def test_everything_is_there_after_a_restart_and_a_kill(running: Host) -> None:
    running.convoy("create", "db")
    place = running.convoy("mount", "db").text
    running.convoy("snapshot", "create", "db", "--name", "monday")
    before = running.convoy("list").document
    for number in (signal.SIGTERM, signal.SIGKILL):
        running.stop(number)
        running.start()
        assert running.convoy("list").document == before
        assert running.convoy("inspect", "db").document["MountPoint"] == place


def test_a_second_daemon(running: Host, tmp_path: Path) -> None:
    assert running.process is not None
    other = Host(tmp_path, running.socket.parent)
    other.root, other.socket = running.root, running.socket.with_name("other")
    assert other.fail_to_start() == f"the root {running.root} is in use by process {running.process.pid}"
    other.root, other.socket = tmp_path / "other-root", running.socket
    assert "another daemon answers" in other.fail_to_start()
    assert running.convoy("info").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--drivers", "zfs"], "there is no driver 'zfs'"),
        (["--drivers", "vfs"], "needs the option vfs.path"),
        ([], "no driver was named"),
        (["--drivers", "vfs", "--driver-opts", "vfs.path"], "has no '='"),
        (["--drivers", "vfs", "--driver-opts", "vfs.path=/x", "--driver-opts", "dm.fs=xfs"], "belongs to no driver"),
        (["--drivers", "devicemapper"], "needs the option dm.datadev"),
        (
            ["--drivers", "vfs", "--driver-opts", "vfs.path=/x", "--mounts-dir", "mnt"],
            "--mounts-dir mnt is no absolute",
        ),
    ],
)
def test_a_daemon_that_cannot_start_changes_nothing(host: Host, words: list[str], message: str) -> None:
    ran = host.convoy("daemon", "--root", str(host.root), *words)
    assert ran.code == 1
    assert message in ran.document["Error"]
    assert not host.root.exists()
    assert not host.socket.exists()


def test_one_driver_that_refuses_stops_the_daemon(host: Host) -> None:
    device = ["--driver-opts", "dm.datadev=/dev/null", "--driver-opts", "dm.metadatadev=/dev/null"]
    ran = host.convoy("daemon", "--root", str(host.root), *host.options, "--drivers", "devicemapper", *device)
    assert (ran.code, "no block device" in ran.document["Error"]) == (1, True)
    assert "driver devicemapper refuses to start, so the daemon does not start" in ran.err
    host.start()


def test_our_own_voice(running: Host) -> None:
    drystone = running.drystone
    assert drystone("volume", "create", "db", "--dry-run").text.startswith("# mkdir ")
    (shown,) = drystone("volume", "create", "db", "--dry-run", "--json").document
    assert (shown["title"], shown["words"][0].split()[0], shown["program"]) == ("", "mkdir", None)
    assert drystone("volume", "list", "--json").document == []
    uuid = drystone("volume", "create", "db").text
    assert drystone("volume", "create", "db").code == 4
    assert "db" in drystone("volume", "list").text
    assert drystone("volume", "inspect", "db", "--json").document["UUID"] == uuid
    assert uuid in drystone("volume", "inspect", "db").text
    place = drystone("volume", "mount", "db").text
    assert drystone("volume", "delete", "db").code == 5
    assert drystone("snapshot", "create", "db", "--name", "monday", "--json").document["Name"] == "monday"
    assert drystone("snapshot", "list", "db", "--json").document[0]["Name"] == "monday"
    assert "monday" in drystone("snapshot", "list").text
    assert "VolumeName" in drystone("snapshot", "inspect", "monday").text
    dest = f"vfs://{running.folder / 'backups'}"
    url = drystone("volume", "backup", "create", "monday", "--dest", dest).text
    assert url in drystone("volume", "backup", "list", dest).text
    assert drystone("volume", "backup", "inspect", url, "--json").document["SnapshotName"] == "monday"
    assert drystone("volume", "umount", "db").code == 0
    refused = drystone("volume", "delete", "db")
    assert (refused.code, "--with-snapshots" in refused.err) == (13, True)
    assert drystone("volume", "delete", "db", "--with-snapshots").code == 0
    assert not Path(place).exists()
    assert drystone("volume", "create", "db", "--from-backup", url).code == 0
    assert drystone("volume", "backup", "delete", url).code == 0
    assert drystone("volume", "backup", "delete", url).code == 3
    assert json.loads(drystone("volume", "inspect", "none", "--json").err)["code"] == "not-found"
    assert "General" in drystone("volume", "info").text


def test_what_was_done_as_json(running: Host) -> None:
    drystone = running.drystone
    for name in ("db", "other", "third"):
        drystone("volume", "create", name)
    drystone("volume", "mount", "db")
    assert drystone("volume", "umount", "db", "--dry-run", "--json").document[0]["words"] == ["nothing is mounted"]
    assert drystone("volume", "umount", "db", "--json").document == {"unmounted": "db"}
    for name in ("monday", "tuesday"):
        drystone("snapshot", "create", "db", "--name", name)
    dest = f"vfs://{running.folder / 'backups'}"
    url = drystone("volume", "backup", "create", "monday", "--dest", dest).text
    shown = drystone("snapshot", "delete", "monday", "tuesday", "--dry-run", "--json").document
    assert [each["program"] for each in shown] == [None, None]
    assert drystone("snapshot", "delete", "monday", "tuesday", "--json").document == {"deleted": ["monday", "tuesday"]}
    assert drystone("volume", "backup", "delete", url, "--json").document == {"deleted": [url]}
    drystone("volume", "mount", "other")
    partly = drystone("volume", "delete", "db", "other", "third", "--json")
    assert (partly.code, partly.document) == (5, {"deleted": ["db"]})
    refused = drystone("volume", "delete", "other", "--json")
    assert (refused.code, refused.out, json.loads(refused.err)["code"]) == (5, "", "busy")
    quiet = drystone("volume", "delete", "third")
    assert (quiet.code, quiet.out, quiet.err) == (0, "", "")


def test_help_needs_no_daemon(host: Host) -> None:
    for words in ([], ["--help"], ["backup", "create", "--help"], ["--version"]):
        done = subprocess.run([sys.executable, "-m", "drystone.cli.convoy", *words], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_fsck_explains_what_differs(running: Host) -> None:
    clean = running.drystone("volume", "fsck", "--json")
    assert (clean.code, clean.document) == (0, {"differences": []})
    uuid = running.convoy("create", "db").text
    (folder,) = (each for each in running.volumes.iterdir() if each.name.startswith("db-"))
    folder.rename(running.volumes / "elsewhere")
    found = running.drystone("volume", "fsck", "--json")
    assert found.code == 11
    kinds = {each["kind"]: each["subject"] for each in found.document["differences"]}
    assert kinds == {"no-data": "db", "unknown-data": str(running.volumes / "elsewhere")}
    told = running.drystone("volume", "fsck", "--repair")
    assert (told.code, "2 differences are left" in told.err) == (11, True)
    assert f"db: its folder {folder} is not there" in told.out
    assert "remedy: restore a backup" in told.out
    (running.volumes / "elsewhere").rename(folder)
    assert running.drystone("volume", "fsck").code == 0
    assert running.convoy("inspect", uuid).document["Name"] == "db"
    wrong = running.drystone("volume", "fsck", "--delete-unknown")
    assert (wrong.code, "--delete-unknown goes with --repair" in wrong.err) == (2, True)
