"""How labs end: nothing stays behind, whoever dies first; and boots that fail say why."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drystone.base.errors import (
    DrystoneError,
    ExhaustedError,
    ExistsError,
    TimedOutError,
    UnavailableError,
    UsageError,
)
from drystone.lab.folders import runtime_root
from drystone.lab.lab import Lab, describe_labs, find_lab
from drystone.lab.spec import DiskSpec

SMALL = 128 << 20
Factory = Callable[..., Lab]


def processes_of(lab: str) -> list[int]:
    """Processes with the lab's folder in their words, zombies not counted."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if lab.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in found if pid != os.getpid()]


def remains(lab: str) -> list[object]:
    disks = Path(tempfile.gettempdir(), f"drystone-disks-{os.getuid()}")
    folders = [path for root in (runtime_root(), disks) for path in root.glob(f"{lab}*")]
    return [*folders, *processes_of(f"/{lab}/")]


def wait_until_gone(lab: str) -> None:
    deadline = time.monotonic() + 60
    while remains(lab) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert remains(lab) == []


def drystone(*words: str) -> subprocess.Popen[str]:
    program = "import sys; from drystone.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_closed_lab_leaves_nothing_but_its_results(lab_factory: Factory, tmp_path: Path) -> None:
    lab = lab_factory(memory=SMALL, disks=[1 << 20], folders=[tmp_path])
    assert len(remains(lab.name)) > 3
    lab.guests[0].run(["sh", "-c", f"echo found > {tmp_path}/result"]).check()
    assert (tmp_path / "result").read_text() == "found\n"
    lab.close()
    assert remains(lab.name) == []


@pytest.mark.usefixtures("driver")
def test_a_killed_runner_leaves_nothing() -> None:
    program = (
        "import time; from drystone.lab.lab import Lab\n"
        f"with Lab(2, memory={SMALL}, disks=[1 << 20]) as lab:\n print(lab.name, flush=True)\n time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        name = runner.stdout.readline().strip()
        assert processes_of(f"/{name}/")
        runner.kill()
    wait_until_gone(name)


def test_a_killed_supervisor_leaves_what_the_next_command_clears_up(lab_factory: Factory) -> None:
    lab = lab_factory(2, memory=SMALL, disks=[1 << 20])
    os.kill(lab.control.ask("status")["supervisor"], signal.SIGKILL)
    with pytest.raises(UnavailableError):
        lab.guests[0].run(["true"])
    with pytest.raises(UnavailableError, match="has died"):
        find_lab(lab.name)
    assert lab.name not in [each["lab"] for each in describe_labs()]
    wait_until_gone(lab.name)


@pytest.mark.usefixtures("driver")
def test_a_signal_reaches_the_command_and_ends_the_guest() -> None:
    script = "trap 'echo caught; exit 1' INT TERM; echo begun; sleep 600 & wait"
    words = ("lab", "run", "--memory", "128M", "--no-stdin", "--", "sh", "-c", script)
    with drystone(*words) as one, drystone(*words) as other:
        for runner, number, code in ((one, signal.SIGINT, 130), (other, signal.SIGTERM, 143)):
            assert runner.stdout is not None
            assert runner.stdout.readline() == "begun\n"
            runner.send_signal(number)
            assert runner.wait(120) == code
            assert runner.stdout.read() == "caught\n"
    wait_until_gone(f"run-{one.pid}-")
    wait_until_gone(f"run-{other.pid}-")


@pytest.mark.usefixtures("driver")
def test_the_command_line_drives_a_lab_from_up_to_down() -> None:
    def ask(*words: str) -> tuple[int, str, str]:
        with drystone("lab", *words) as process:
            out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    name = f"cli-{os.getpid()}"
    try:
        code, out, _ = ask("up", "--name", name, "--nodes", "2", "--memory", "128M", "--json")
        assert (code, [node["state"] for node in json.loads(out)[0]["nodes"]]) == (0, ["up", "up"])
        assert ask("up", "--name", name)[0] == ExistsError.exit_code
        assert ask("exec", "--name", name, "--no-stdin", "2", "--", "sh", "-c", "hostname; exit 5")[:2] == (
            5,
            "node2\n",
        )
        assert ask("cut", "--name", name, "node1")[0] == 0
        assert ask("kill", "--name", name, "node2")[0] == 0
        states = {
            node["node"]: (node["state"], node["link"])
            for lab in json.loads(ask("status", "--json")[1])
            if lab["lab"] == name
            for node in lab["nodes"]
        }
        assert states == {"node1": ("up", "cut"), "node2": ("down", "whole")}
        code, _, err = ask("exec", "--name", name, "--no-stdin", "node2", "--", "true")
        assert (code, "node2 is down" in err) == (UnavailableError.exit_code, True)
        assert f"drystone lab start --name {name} node2" in err
        assert ask("start", "--name", name, "node2")[0] == 0
        assert ask("heal", "--name", name, "node1")[0] == 0
    finally:
        code, _, _ = ask("down", "--name", name)
    assert code == 0
    wait_until_gone(name)
    assert ask("down", "--name", name)[0] == UnavailableError.exit_code


def test_a_boot_that_takes_too_long_shows_the_console(lab_factory: Factory) -> None:
    with pytest.raises(TimedOutError, match=r"node1 was not up within 0\.5 s"):
        lab_factory(memory=SMALL, boot_timeout=0.5)


def test_a_guest_that_ends_says_why(lab_factory: Factory) -> None:
    lab = lab_factory(2, memory=SMALL)
    one, two = lab.guests
    with pytest.raises(UnavailableError, match=r"node1 went away: Kernel panic .*sysrq: Trigger a crash"):
        one.run(["sh", "-c", "echo c > /proc/sysrq-trigger; sleep 60"], timeout=60)
    with pytest.raises(UnavailableError, match="node2 went away: it was powered off or rebooted"):
        two.run(["sh", "-c", "echo b > /proc/sysrq-trigger; sleep 60"], timeout=60)
    with pytest.raises(DrystoneError, match="panic"):
        lab.control.ask("wait")
    assert any("panic" in line for line in one.console())


def test_disks_that_cannot_be_are_refused_and_nothing_is_left(lab_factory: Factory, tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(bytes(512))
    for disk, kind, text in (
        (DiskSpec(str(tmp_path / "short"), 1024), UsageError, "has 512 bytes"),
        (DiskSpec(str(tmp_path / "huge"), 1 << 62), ExhaustedError, "cannot hold"),
        (DiskSpec(str(tmp_path / "no" / "folder"), 512), UsageError, "No such file"),
        (DiskSpec(str(tmp_path / "odd"), 511), UsageError, "511 bytes"),
    ):
        with pytest.raises(kind, match=text):
            lab_factory(node_disks={"node1": [disk]}, name=f"refused-{os.getpid()}")
    with pytest.raises(UsageError, match="node7"):
        lab_factory(node_disks={"node7": []}, name=f"refused-{os.getpid()}")
    assert [path.name for path in tmp_path.iterdir()] == ["short"]
    assert remains(f"refused-{os.getpid()}") == []


@pytest.mark.usefixtures("driver")
def test_closed_standard_streams_are_no_trouble() -> None:
    program = "import sys; from drystone.cli.main import main; main()"
    words = f'"{sys.executable}" -c "{program}" lab run --memory 128M -- sh -c "cat; exit 4" <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", words], stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert done.returncode == 4


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can read; pytest's own are closed to others whenever another pytest starts."""
    with tempfile.TemporaryDirectory(prefix="drystone-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.usefixtures("driver")
def test_an_ordinary_user_has_a_lab_too(open_folder: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("this test run is an ordinary user's already")
    interpreter = "/usr/bin/python3"  # the one of this run may lie where others cannot read
    source = open_folder / "source"
    shutil.copytree(Path(__file__).parents[3] / "src", source)
    program = (
        "from drystone.lab.lab import Lab\n"
        f"with Lab(2, memory={SMALL}, disks=[1 << 20]) as lab:\n"
        " print(lab.guests[0].run(['sh', '-c', 'id -u; ls /dev/lab; head -c 1 /etc/shadow || echo refused']).text)\n"
    )
    words = ["runuser", "-u", "nobody", "--", "env", "-u", "XDG_RUNTIME_DIR", f"PYTHONPATH={source}", interpreter]
    done = subprocess.run([*words, "-c", program], capture_output=True, text=True, timeout=120, check=False, cwd="/")
    assert done.stdout.split() == ["0", "disk0", "refused"], done.stderr
