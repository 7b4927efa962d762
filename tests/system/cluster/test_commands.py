"""`drystone cluster api` as a process over SQLite, driven by `dlvm` as a process: rightly, and wrongly."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from drystone.testing.cluster.servers import Server

_SECONDS = 120
_DLVM = (sys.executable, "-m", "drystone.cli.cluster.dlvm")
_DRYSTONE = (sys.executable, "-m", "drystone.cli.main", "cluster")


class Cluster:
    """An API server with an authority of its own, and the tokens of alice (operator) and eve (viewer)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = folder / "ca"
        self.url = ""
        for name, role in (("alice", "operator"), ("eve", "viewer")):
            words = ("--tokens", f"{folder}/tokens.toml", "--out", f"{folder}/{name}.token")
            assert self.run(*_DRYSTONE, "token", name, "--role", role, *words).returncode == 0
        made = ("--authority", f"{self.ca}", "--folder", f"{self.ca}", "--address", "127.0.0.1")
        assert self.run(*_DRYSTONE, "cert", "authority", "--folder", f"{self.ca}").returncode == 0
        assert self.run(*_DRYSTONE, "cert", "make", "api", "api1", *made).returncode == 0
        (folder / "api.toml").write_text(
            f'database = "sqlite:///{folder}/data/cluster.db"\ntokens = "{folder}/tokens.toml"\n'
            f'certificate = "{self.ca}/api1.pem"\nkey_file = "{self.ca}/api1.key"\n'
        )
        self.server = self.make_server("127.0.0.1:0")

    def make_server(self, listen: str) -> Server:
        config = f"{self.folder}/api.toml"
        return Server("api", "--config", config, "--listen", listen, log=self.folder / "api.log")

    def environment(self, token: str = "alice") -> dict[str, str]:
        """With the API's address and a token."""
        others = {key: value for key, value in os.environ.items() if not key.startswith("DRYSTONE_")}
        return others | {
            "DRYSTONE_CLUSTER_API": self.url,
            "DRYSTONE_CLUSTER_TOKEN": f"{self.folder}/{token}.token",
            "DRYSTONE_CLUSTER_AUTHORITY": f"{self.ca}/authority.pem",
        }

    def run(self, *words: str, token: str = "alice", **more: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment(token) | more
        return subprocess.run(
            words, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment
        )  # fmt: skip

    def dlvm(self, *words: str, token: str = "alice", **more: str) -> subprocess.CompletedProcess[str]:
        return self.run(*_DLVM, *words, token=token, **more)

    def must(self, *words: str) -> str:
        done = self.dlvm(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """A `dlvm` that goes on beside the test."""
        return subprocess.Popen(
            [*_DLVM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=self.environment(), text=True
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    with made.server.running():
        made.url = made.server.told["url"]
        for name in ("d1", "d2", "d3"):
            place = ("--address", f"{name}:9400", "--portal", f"{name}:3260", "--size", "100g")
            made.must("dpvs", "create", name, *place)
            made.must("dpvs", "available", name)
        made.must("dvgs", "create", "fast", "d1", "d2", "d3")
        yield made


def test_1_a_volume_is_made_shown_and_deleted(cluster: Cluster) -> None:
    assert "PUT /v1/dlvs/" in cluster.must("dlvs", "create", "db", "--dvg", "fast", "--size", "10G", "--dry-run")
    assert cluster.must("dlvs", "list", "--json") == "[]\n"
    assert cluster.must("dlvs", "create", "db", "--dvg", "fast", "--size", "10G").startswith("dlv db: creating")
    assert "10.0 GiB" in cluster.must("dlvs", "list")
    assert json.loads(cluster.must("dlvs", "show", "db", "--json"))["mirrors"] == 2
    done = cluster.run(*_DRYSTONE, "dlvs", "show", "db")
    assert (done.returncode, "g1.s0" in done.stdout) == (0, True)
    assert cluster.must("dlvs", "delete", "db", "--wait") == "dlv db: deleted\n"
    assert cluster.must("events", "--subject", "db").count("\n") == 2


def test_2_the_database_and_the_keys_are_ours_alone(cluster: Cluster) -> None:
    private = [*cluster.folder.glob("data/*"), *cluster.ca.glob("*.key"), *cluster.folder.glob("*.token")]
    assert len(private) >= 5
    for path in (*private, cluster.folder / "tokens.toml"):
        assert not stat.S_IMODE(path.stat().st_mode) & 0o077, path


@pytest.mark.parametrize(
    ("words", "token", "more", "code", "text"),
    [
        (("dlvs", "list"), "nobody", {}, 3, "no token file"),
        (("dlvs", "delete", "db"), "eve", {}, 13, "eve is a viewer"),
        (("dlvs", "show", "nothing"), "alice", {}, 3, "there is no dlv"),
        (("dlvs", "show", "a/../b"), "alice", {}, 2, "is not valid"),
        (("dlvs", "create", "x2", "--dvg", "fast", "--size", "9" * 700), "alice", {}, 2, "larger than"),
        (("dlvs", "create", "x2", "--dvg", "fast", "--size", "16385t"), "alice", {}, 2, "multiple of 4096"),
        (("dlvs", "create", "x2", "--dvg", "fast", "--size", "1t"), "alice", {}, 8, "no room"),
        (("dlvs", "create", "x2", "--dvg", "none", "--size", "1g"), "alice", {}, 3, "no dvg"),
        (("dlvs", "wait"), "alice", {}, 2, "No such command"),
        (("dlvs", "list", "--api", "http://10.0.0.1:1"), "alice", {}, 2, "plain HTTP"),
        (("dlvs", "list", "--api", "https://127.0.0.1:1", "--patience", "0"), "alice", {}, 6, "Connection refused"),
        (("dlvs", "list", "--patience", "0"), "alice", {"DRYSTONE_CLUSTER_AUTHORITY": ""}, 6, "CERTIFICATE_VERIFY"),
    ],
)
def test_3_what_is_wrong_is_told_in_a_line(
    cluster: Cluster, words: tuple[str, ...], token: str, more: dict[str, str], code: int, text: str
) -> None:
    done = cluster.dlvm(*words, token=token, **more)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_3_errors_are_told_in_json_too(cluster: Cluster) -> None:
    for words, code in ((("dlvs", "wait"), 2), (("dlvs", "show", "nothing"), 3)):
        done = cluster.dlvm(*words, "--json")
        assert done.returncode == code
        assert json.loads(done.stderr)["message"]


def test_4_a_reader_that_goes_away_ends_the_command(cluster: Cluster) -> None:
    with cluster.begin("events", "--follow") as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline().startswith("1  ")
        reader.stdout.close()
        cluster.must("dpvs", "unavailable", "d3")
        cluster.must("dpvs", "available", "d3")
        assert reader.wait(_SECONDS) == 141


def test_5_ctrl_c_loses_nothing_and_says_how_to_go_on(cluster: Cluster) -> None:
    with cluster.begin("dlvs", "create", "slow", "--dvg", "fast", "--size", "1g", "--wait") as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline().startswith("dlv slow: creating")
        waiting.send_signal(signal.SIGINT)
        rest = waiting.stderr.read()
        assert waiting.wait(_SECONDS) == 130
    assert "dlvm wait dlv slow created" in rest
    assert "slow" in cluster.must("dlvs", "list")
    assert cluster.dlvm("wait", "dlv", "slow", "created", "--timeout", "0.5").returncode == 7
    cluster.must("dlvs", "delete", "slow")


def test_6_a_server_that_is_killed_is_waited_for_and_all_is_done_once(cluster: Cluster) -> None:
    """The server is gone before the command asks; the same port answers again while it is patient."""
    cluster.server.end(signal.SIGKILL)
    again = cluster.make_server(cluster.url.removeprefix("https://"))
    words = ("dlvs", "create", "late", "--dvg", "fast", "--size", "1g", "--patience", "100")
    with cluster.begin(*words) as patient:
        assert patient.stderr is not None
        assert "trying again for 100 s" in patient.stderr.readline()
        with again.running():
            assert patient.wait(_SECONDS) == 0
            events = cluster.must("events", "--kind", "dlv", "--subject", "late")
            assert events.count("creating") == 1
    gone = cluster.dlvm("dlvs", "delete", "late", "--patience", "0.2")
    assert gone.returncode == 6
    assert "with --key " in gone.stderr
    health = cluster.dlvm("health")
    assert (health.returncode, "Connection refused" in health.stdout) == (6, True)


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--listen", "0.0.0.0:0"), 2, "others could read tokens"),
        (("--listen", "nowhere"), 2, "is not HOST:PORT"),
        (("--database", "oracle://x"), 2, "database"),
        (("--tokens", "/nonexistent"), 3, "there is no token file"),
        (("--config", "/nonexistent"), 3, "there is no configuration"),
        (("--certificate", "/nonexistent"), 2, "go together"),
        (("--certificate", "/nonexistent", "--key-file", "/nonexistent"), 2, "certificate /nonexistent"),
    ],
)
def test_7_a_server_that_cannot_start_says_why(
    cluster: Cluster, tmp_path: Path, words: tuple[str, ...], code: int, text: str
) -> None:
    usual = ("--listen", "127.0.0.1:0", "--database", f"sqlite:///{tmp_path}/c.db")
    tokens = ("--tokens", f"{cluster.folder}/tokens.toml")
    done = cluster.run(*_DRYSTONE, "api", *usual, *tokens, *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_8_certificates_are_not_written_over_unasked(cluster: Cluster) -> None:
    before = (cluster.ca / "api1.key").read_bytes()
    folders = ("--authority", f"{cluster.ca}", "--folder", f"{cluster.ca}")
    words = (*_DRYSTONE, "cert", "make", "api", "api1", *folders)
    assert cluster.run(*words, "--address", "127.0.0.1").returncode == 4
    assert cluster.run(*words, "--overwrite").returncode == 2, "a server's has an address"
    assert cluster.run(*words, "--address", "127.0.0.1", "--overwrite", "--dry-run").returncode == 0
    assert (cluster.ca / "api1.key").read_bytes() == before
    shown = json.loads(cluster.run(*_DRYSTONE, "cert", "show", f"{cluster.ca}/api1.pem", "--json").stdout)
    assert (shown["for"], shown["addresses"]) == (["server"], ["127.0.0.1"])


def test_9_a_server_ends_in_order(cluster: Cluster) -> None:
    cluster.server.start()
    assert cluster.server.end() == 0
