"""`dvm serve`: commands are what they are without it, and whatever goes wrong on the way, each is done at most once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drystone.kernel.fork import fork_away

DVM = str(Path(sys.executable).parent / "dvm")
UPDATE = "dvm transact update vg --device disk"
PARENT = "cut -d' ' -f4 /proc/$PPID/stat"
"""For a mutator: whose child the `dvm` is that runs it."""


class Server:
    """A server, and a folder with a group in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = str(folder / "s")
        self.process = subprocess.Popen(
            [DVM, "serve", "--socket", self.socket],
            stdout=subprocess.PIPE,
            cwd="/",
            env={**os.environ, "TMPDIR": str(folder)},
        )
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            assert json.loads(stream.readline()) == {"socket": self.socket}

    def start(self, line: str, *, served: bool = True, **others: str) -> subprocess.Popen[str]:
        """A line of bash, whose `dvm` has this server, or none."""
        environment = {
            **os.environ,
            "PATH": f"{Path(DVM).parent}:{os.environ['PATH']}",
            "DRYSTONE_DVM_SOCKET": self.socket if served else "",
            "DRYSTONE_DEBUG": "1",
            **others,
        }
        return subprocess.Popen(
            ["bash", "-c", line],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, line: str, *, served: bool = True, **others: str) -> tuple[int, str, str]:
        process = self.start(line, served=served, **others)
        out, errors = process.communicate(timeout=60)
        return process.returncode, out, errors

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(60) == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A group over one file."""
    folder = tmp_path_factory.mktemp("group")
    with (folder / "disk").open("xb") as file:
        file.truncate(16 << 20)
    (folder / "dvm.toml").write_text('[discover]\ndevices = false\nfiles = ["disk"]\n')
    for line in (
        "discover add vg disk -c dvm.toml > devices",
        "metadata init --devices devices > first",
        "transact expand vg --devices devices --metadata first",
        "transact read vg --device disk > group",
    ):
        subprocess.run(f"{sys.executable} -m drystone.cli.dvm {line}", shell=True, check=True, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def shared(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(Path(shutil.copytree(made, tmp_path_factory.mktemp("shared") / "f")))
    yield server
    server.end()


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Iterator[Server]:
    """A server for one test, and a group of its own."""
    server = Server(Path(shutil.copytree(made, tmp_path / "f")))
    yield server
    server.process.kill()
    server.process.wait()


def wait_for(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "line",
    [
        "dvm show vg --device disk --text",
        "dvm show vg --device disk",
        "dvm transact read vg --device disk | dvm report --text",
        "dvm discover find vg -c dvm.toml | dvm transact read vg",
        "dvm metadata create new --size 1m --seed 1 < group",
        "dvm metadata create new --size 1x < group",
        "dvm metadata create first --size 900t --group group",
        f"{UPDATE} --dry-run -- dvm metadata create new --size 1m --seed x | sed -E 's/[0-9T:-]+Z|[0-9a-f]{{64}}//g'",
        f"{UPDATE} -- false",
        "dvm metadata --help",
        "dvm",
        "dvm nothing",
        "dvm show",
        "dvm show vg --device nowhere",
        "dvm replicate status <(echo '[]')",
        "dvm show vg --device disk >&-",
        "dvm transact read vg <&- 2>/dev/null",
        "dvm show vg --device disk 2>&- >&-",
        "dvm metadata --help | true; echo ${PIPESTATUS[0]}",
        "dvm show vg --device disk > /dev/full",
        "mkdir -p gone; cd gone; rmdir ../gone; dvm show vg --device ../disk --text",
        "umask 077; dvm record log-$RANDOM dmactivate nothing nothing",
        "exec -a other dvm report --group group vgs --text",
    ],
)
def test_a_command_says_the_same_with_it(shared: Server, line: str) -> None:
    assert shared.run(line) == shared.run(line, served=False)


def test_it_is_a_worker_that_does_it_with_what_the_client_has(shared: Server) -> None:
    asked = "ulimit -n; umask; pwd; nice; echo $WORD; grep SigIgn /proc/self/status; cat /proc/$PPID/comm"
    mutator = f"({PARENT}; {asked}) > told; cat"
    line = f"ulimit -n 300; umask 027; trap '' USR1; export WORD=x; exec nice -n 3 {UPDATE} --dry-run -- sh -c "
    told = []
    for served in (True, False):
        code, _, errors = shared.run(line + '"$MUTATOR"', served=served, MUTATOR=mutator)
        assert code == 0, errors
        told.append((shared.folder / "told").read_text().splitlines())
        (shared.folder / "told").unlink()
    assert int(told[0][0]) == shared.process.pid != int(told[1][0])
    assert told[0][1:] == told[1][1:]
    assert told[0][1:3] == ["300", "0027"]
    assert told[0][-1] == "dvm"


@pytest.mark.parametrize(
    ("before", "why"),
    [("echo 500 > /proc/$$/oom_score_adj; exec", "another oom"),
     ("exec env PYTHONPATH=/nowhere", "other PYTHON... variables"),
     ("exec env LC_ALL=de_DE.ISO-8859-1", "the locale de_DE.ISO-8859-1")],
)  # fmt: skip
def test_a_client_in_other_surroundings_does_it_itself(shared: Server, before: str, why: str) -> None:
    code, out, told = shared.run(f"{before} dvm show vg --device disk --text")
    assert (code, out) == shared.run("dvm show vg --device disk --text")[:2]
    assert told == f"dvm: not run by the command server: {why}\n"


def test_a_client_in_another_namespace_does_it_itself(shared: Server) -> None:
    if subprocess.run(["unshare", "--user", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine allows no user namespaces")
    code, out, told = shared.run("exec unshare --user --map-root-user dvm show vg --device disk --text")
    assert (code, out) == shared.run("dvm show vg --device disk --text")[:2]
    assert "another namespaces" in told or "another identity" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_another_user_is_refused(own: Server) -> None:
    Path(own.socket).chmod(0o666)  # as if its own mode did not keep others out

    def connect() -> int:
        os.chdir(own.folder)
        own.folder.chmod(0o755)
        os.setuid(65534)
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other:
            other.connect("s")
            return len(other.recv(100))

    assert os.waitpid(fork_away(connect), 0)[1] == 0
    assert own.run("dvm show vg --device disk --text")[0] == 0


def test_who_connects_and_says_nothing_or_nonsense_keeps_nobody_up(own: Server) -> None:
    expected = own.run("dvm show vg --device disk --text")
    silent = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3)]
    for each in silent:
        each.connect(own.socket)
    silent[1].send(b"nonsense")
    assert silent[1].recv(100) == b"H"
    assert silent[1].recv(100).startswith(b"R")
    silent[2].close()
    assert own.run("dvm show vg --device disk --text") == expected
    for each in silent:
        each.close()
    own.end()


def test_twenty_at_once(own: Server) -> None:
    expected = own.run("dvm show vg --device disk --text")
    going = [own.start("dvm show vg --device disk --text") for _ in range(20)]
    assert {(*each.communicate(timeout=120), each.returncode) for each in going} == {(expected[1], "", 0)}


def test_what_workers_rehearse_on_lasts_as_long_as_the_server(own: Server) -> None:
    """In a folder of the server's, whose group has had its changes in each rehearsal."""
    (stage,) = own.folder.glob("drystone-dvm-*")
    show = f"dvm transact log rehearsal --device {stage}/disk"

    def count() -> int:
        return int(json.loads(own.run(show, served=False)[1])["versions"][0]["sequence"])

    for _ in range(3):
        before = count()
        assert own.run("dvm show vg --device disk --text")[0] == 0
        wait_for(lambda before=before: count() == before + 2)  # type: ignore[misc]
    own.end()
    assert not stage.exists()


def start_waiting(server: Server) -> tuple[subprocess.Popen[str], int]:
    """An update whose mutator waits for the file `go`, and its worker."""
    mutator = 'echo $PPID > worker; while [ ! -e go ]; do sleep 0.05; done; jq ".tags += [\\"x\\"]" || sed s/0/0/'
    process = server.start(f"exec {UPDATE} -- sh -c '{mutator}'")
    wait_for(lambda: (server.folder / "worker").exists() and (server.folder / "worker").read_text().strip())
    return process, int((server.folder / "worker").read_text())


def version(server: Server) -> str:
    return server.run("dvm transact log vg --device disk", served=False)[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_as_without_a_server(own: Server, number: int) -> None:
    before = version(own)
    process, worker = start_waiting(own)
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    wait_for(lambda: not is_running(worker))
    if number == signal.SIGINT:
        assert (process.returncode, json.loads(told.splitlines()[-1])["code"]) == (130, "interrupted")
    else:
        assert process.returncode in (-number, 128 + number)
    assert version(own) == before


def test_a_client_that_is_killed_has_its_command_ended(own: Server) -> None:
    before = version(own)
    process, worker = start_waiting(own)
    process.kill()
    wait_for(lambda: not is_running(worker))
    assert version(own) == before
    assert own.run("dvm show vg --device disk --text")[0] == 0
    process.communicate()


def test_a_worker_that_is_killed_is_told_as_what_it_is(own: Server) -> None:
    process, worker = start_waiting(own)
    os.kill(worker, signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_ends_lets_its_commands_end(own: Server, number: int) -> None:
    before = version(own)
    process, _ = start_waiting(own)
    own.process.send_signal(number)
    if number == signal.SIGKILL:
        own.process.wait()
    (own.folder / "go").touch()
    out, told = process.communicate(timeout=30)
    assert process.returncode == 0, told
    assert json.loads(out)
    assert version(own) != before
    own.process.wait(30)
    # And the next command goes without it, or with its successor on the same path.
    assert own.run("dvm show vg --device disk --text")[0] == 0
    successor = Server(own.folder)
    assert own.run("dvm show vg --device disk --text")[0] == 0
    successor.end()
    assert not Path(own.socket).exists()


def test_a_server_that_hangs_is_done_without(own: Server) -> None:
    """The client's patience ends, and it does the command itself, once. Who reads its output sees the end of that."""
    own.process.send_signal(signal.SIGSTOP)
    try:
        code, _, told = own.run(f"{UPDATE} --dry-run -- sh -c 'echo $PPID >> runs; cat'")
    finally:
        own.process.send_signal(signal.SIGCONT)
    assert code == 0, told
    own.end()  # it takes what came before, and waits for its workers
    assert len((own.folder / "runs").read_text().split()) == 1


def test_a_stopped_client_is_a_stopped_command(own: Server) -> None:
    process, worker = start_waiting(own)

    def state(pid: int) -> str:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]

    process.send_signal(signal.SIGTSTP)
    wait_for(lambda: state(worker) == state(process.pid) == "T")
    (own.folder / "go").touch()
    process.send_signal(signal.SIGCONT)
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_two_servers_are_not_at_one_place(own: Server) -> None:
    done = subprocess.run(
        [DVM, "serve", "--socket", own.socket], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, json.loads(done.stderr)["code"]) == (5, "busy")
    assert own.run("dvm show vg --device disk --text")[0] == 0
