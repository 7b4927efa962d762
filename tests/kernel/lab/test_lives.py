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

from drystone.base.errors import DrystoneError, ExistsError, TimedOutError, UnavailableError
from drystone.lab.folders import disks_root, runtime_root
from drystone.lab.lab import Lab

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
    folders = [path for root in (runtime_root(), disks_root()) for path in root.glob(f"{lab}*")]
    return [*folders, *processes_of(f"/{lab}/")]


def wait_until_gone(lab: str) -> None:
    deadline = time.monotonic() + 10
    while remains(lab) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert remains(lab) == []


def drystone(*words: str) -> subprocess.Popen[str]:
    program = "import sys; from drystone.cli.main import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_closed_lab_leaves_nothing(lab_factory: Factory) -> None:
    lab = lab_factory(memory=SMALL, disks=[1 << 20])
    assert len(remains(lab.name)) > 3
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


def test_a_killed_supervisor_leaves_no_guest_and_the_next_lab_clears_up(lab_factory: Factory) -> None:
    lab = lab_factory(memory=SMALL)
    guest = lab.guests[0]
    os.kill(lab.control.ask("status")["supervisor"], signal.SIGKILL)
    with pytest.raises(UnavailableError):
        guest.run(["true"])
    lab_factory(memory=SMALL).close()
    wait_until_gone(lab.name)


@pytest.mark.usefixtures("driver")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reaches_the_command_and_ends_the_guest(number: int, code: int) -> None:
    script = "trap 'echo caught; exit 1' INT TERM; echo begun; sleep 600 & wait"
    with drystone("lab", "run", "--memory", "128M", "--no-stdin", "--", "sh", "-c", script) as runner:
        assert runner.stdout is not None
        assert runner.stdout.readline() == "begun\n"
        runner.send_signal(number)
        assert runner.wait(20) == code
        assert runner.stdout.read() == "caught\n"
    wait_until_gone(f"run-{runner.pid}-")


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


def test_a_panic_is_reported_with_its_reason(lab_factory: Factory) -> None:
    lab = lab_factory(memory=SMALL)
    with pytest.raises(UnavailableError, match="node1 went away"):
        lab.guests[0].run(["sh", "-c", "echo c > /proc/sysrq-trigger"], timeout=60)
    with pytest.raises(DrystoneError, match="panic"):
        lab.control.ask("wait")
    assert any("panic" in line for line in lab.guests[0].console())


def test_results_are_on_the_host_when_the_command_has_ended(lab_factory: Factory, tmp_path: Path) -> None:
    lab = lab_factory(memory=SMALL, folders=[tmp_path])
    lab.guests[0].run(["sh", "-c", f"echo found > {tmp_path}/result"]).check()
    assert (tmp_path / "result").read_text() == "found\n"


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
