"""Plain command lines of `dvm`: read as click reads them, or left to it; the same outputs; what is not imported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from inspect import signature
from pathlib import Path
from zipfile import ZipFile

import click
import pytest

from drystone.base.errors import DrystoneError
from drystone.cli.dvm.group import dvm
from drystone.cli.dvm.plain.mutators import MUTATORS
from drystone.cli.dvm.plain.run import find_action
from drystone.cli.dvm.plain.table import LINES, MUTATOR
from drystone.cli.dvm.plain.words import Line, read_line

WORDS = ["4m", "raid1", "spread", "file", "-", "", "-3", "-x", "x y", "--", "4 m", "\u0663"]
_MAIN = "import sys; from drystone.cli.dvm import main; main()"
_CLICK = """\
import sys
from drystone.cli.dvm.group import dvm
from drystone.cli.exits import run
sys.exit(run(dvm, {!r}, name="dvm"))
"""


def get_command(tool: str) -> click.Command:
    command: click.Command = dvm
    for word in tool.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), word)
        assert found is not None
        command = found
    return command


def read_by_click(tool: str, words: list[str]) -> dict[str, object] | None:
    """What click makes of the words; None when it refuses them."""
    try:
        return dict(get_command(tool).make_context(tool, list(words)).params)
    except (click.exceptions.Exit, click.ClickException, DrystoneError):
        return None


def least_words(line: Line) -> list[str]:
    """What cannot be left out."""
    needed = [
        word for spelling, (name, _) in line.values.items() if name not in line.defaults for word in (spelling, "4m")
    ]
    return [*needed, *line.arguments, *["more"] * line.least]


def end_of(line: Line) -> list[str]:
    return ["--", "cat", "--text"] if line.behind else []


def list_lines(line: Line) -> Iterator[list[str]]:
    """Command lines with each flag and each value, in several ways."""
    least = least_words(line)
    yield least
    yield [*least, "one more"]
    yield [*least, "one more", "and another"]
    for flag in line.flags:
        yield [*least, flag]
        yield [flag, *least, flag]
    for spelling in (*line.values, *line.repeated):
        yield [*least, spelling]
        yield [f"{spelling}=file", *least]
        yield [*least, spelling, "file", spelling, "other"]
        for word in WORDS:
            yield [spelling, word, *least]
            yield [*least, spelling, word]
    for word in WORDS:
        yield [*least[:-1], word]
    yield ["--help"]
    yield []


@pytest.mark.parametrize("tool", LINES)
def test_what_is_read_without_click_is_what_click_reads(tool: str) -> None:
    line = LINES[tool]
    defaults = read_by_click(tool, [*least_words(line), *end_of(line)])
    assert defaults is not None
    plain = 0
    for words in list_lines(line):
        whole = [*words, *end_of(line)]
        chosen = read_line(whole, line)
        if chosen is None:
            continue
        plain += 1
        read = read_by_click(tool, whole)
        assert read is not None, whole
        assert chosen == {name: read[name] for name in chosen}, whole
        others = {name: value for name, value in read.items() if name not in chosen}
        assert others == {name: defaults[name] for name in others}, whole
    assert plain > len(line.flags) + 2 * len(line.values)


@pytest.mark.parametrize("tool", LINES)
def test_the_function_takes_what_is_read(tool: str) -> None:
    line = LINES[tool]
    chosen = read_line([*least_words(line), *end_of(line)], line)
    assert chosen is not None
    if line.place == MUTATOR:
        assert chosen.pop("file") == "-"
        signature(MUTATORS[tool.split()[1]]).bind(**chosen)
        return
    module, _, name = line.place.partition(":")
    signature(getattr(import_module(f"drystone.cli.dvm.plain.{module}"), name)).bind(**chosen)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["report", "--help"],
        ["-c", "dvm.toml", "report"],
        ["--log", "file", "report"],
        ["discover", "find"],
        ["transact", "update", "vg", "cat"],
        ["transact", "update", "vg", "--"],
        ["metadata", "create", "db"],
        ["metadata", "create", "db", "--size", "4m", "--legs", "2"],
        ["metadata", "nothing"],
        ["dmactivate"],
    ],
)
def test_all_else_is_left_to_click(words: list[str]) -> None:
    assert find_action(words) is None


def test_completion_is_left_to_click(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_action(["report"]) is not None
    monkeypatch.setenv("_DVM_COMPLETE", "bash_complete")
    assert find_action(["report"]) is None


class Ground:
    """A group on a file, and its documents."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = folder / "disk"
        self.disk.touch()
        os.truncate(self.disk, 16 << 20)
        disk, devices = str(self.disk), str(folder / "devices")
        self.keep("devices", "discover", "add", "vg", "--file", disk, disk)
        self.keep("first", "metadata", "init", "--devices", devices)
        self.keep("group", "metadata", "create", "db", "--size", "4m", "--group", str(folder / "first"), "--seed", "a")
        self.keep("state", "volactivate", "--group", str(folder / "first"))
        self.keep("program", "dmactivate", str(folder / "state"), str(folder / "state"))
        self.run(_MAIN, "transact", "expand", "vg", "--devices", devices, "--metadata", str(folder / "group"))
        (folder / "regions").write_text(json.dumps([{"path": disk, "begin": 1, "end": 257}]))

    def keep(self, name: str, *words: str) -> None:
        done = self.run(_MAIN, *words)
        assert done.returncode == 0, done.stderr
        (self.folder / name).write_bytes(done.stdout)

    def run(self, program: str, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-c", program, *words]
        return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=120, cwd=self.folder)


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return Ground(tmp_path_factory.mktemp("ground"))


@pytest.mark.parametrize(
    "line",
    [
        "discover find vg --file disk",
        "discover find vg --file disk --text",
        "discover find other --file disk",
        "transact read vg --devices devices",
        "transact read vg --device disk",
        "transact read vg --device nothing",
        "transact update vg --devices devices --dry-run -- cat first",
        "transact update vg --devices devices --dry-run -- false",
        "metadata create more --size 4m --group group --seed b",
        "metadata create db --size 4m --group group",
        "metadata create more --size 400g --group group",
        "metadata create more --size 4m --group disk",
        "metadata extend db --by 4m --group group",
        "metadata rename db other --group group",
        "metadata remove db --group group",
        "metadata remove nothing --group group",
        "report --group group",
        "report lvs pvs --text --group group --devices devices",
        "report lvs --lvm-json --parts --group group",
        "report nothing --group group",
        "report --text --lvm-json --group group",
        "report --group state",
        "report --group nothing",
        "show vg --device disk",
        "show vg lvs --text --devices devices",
        "volactivate --group group",
        "dmactivate state state",
        "dmactivate state state --describe",
        "dmactivate state group",
        "dmexec --check program",
        "dmexec --check group",
        "replicate status regions",
        "replicate status group",
    ],
)
def test_both_ways_give_the_same(ground: Ground, line: str) -> None:
    words = line.split()
    assert find_action(words) is not None
    ours = ground.run(_MAIN, *words)
    clicks = ground.run(_CLICK.format(["--json", *words]))
    assert (ours.returncode, ours.stdout, ours.stderr) == (clicks.returncode, clicks.stdout, clicks.stderr)


_NOTING = """\
import atexit, sys
def note():
    heavy = {"click", "inspect", "ast", "numpy", "subprocess", "rich", "typing_extensions", "threading", "pathlib"}
    heavy |= {"re", "json", "decimal", "ctypes", "dataclasses", "google_crc32c", "_uuid"}
    there = [name for name in heavy & sys.modules.keys() if hasattr(sys.modules[name], "__file__")]
    sys.stderr.write(" ".join(sorted(there)))
atexit.register(note)
from drystone.cli.dvm import main
main()
"""


@pytest.mark.parametrize(
    "line",
    [
        "discover find vg --file disk",
        "metadata create more --size 4m --group group",
        "report --group group --text",
        "volactivate --group group",
        "dmactivate state state",
        "dmexec --check program",
        "replicate status regions",
        "show vg lvs --text --devices devices",
    ],
)
def test_what_is_not_needed_is_not_imported(ground: Ground, line: str) -> None:
    done = ground.run(_NOTING, *line.split())
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_console_script_begins_with_nothing_else(ground: Ground) -> None:
    """Those that pip writes before version 25 import `re`: scripts/set-up has a later one write it."""
    script = Path(sys.executable).parent / "dvm_python"
    words = [sys.executable, "-X", "importtime", str(script), "dmactivate", "state", "state"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120, cwd=ground.folder)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "drystone.dvm.dmactivate" in imported
    assert not imported & {"re", "re._parser", "decimal", "json"}


def test_console_scripts_start_where_a_path_has_a_blank(ground: Ground) -> None:
    """Which no first line of a script can hold: installers write another beginning, for entry points only."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert "shared-scripts" not in project["tool"]["hatch"]["build"]["targets"]["wheel"]
    # The one file that is installed as it is has no first line: it is a program, and finds dvm_python beside itself.
    client = Path(sys.executable).parent / "dvm"
    assert client.read_bytes()[:4] == b"\x7fELF"
    folder = ground.folder / "a b"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    wheel = ground.folder / "drystone-1-py3-none-any.whl"
    scripts = "".join(f"{name} = {place}\n" for name, place in project["project"]["scripts"].items())
    files = {
        "METADATA": "Metadata-Version: 2.1\nName: drystone\nVersion: 1\n",
        "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": f"[console_scripts]\n{scripts}",
        "RECORD": "",
    }
    with ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"drystone-1.dist-info/{name}", text)
    own = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install"]
    subprocess.run([*own, "--quiet", "--no-index", "--no-deps", str(wheel)], check=True, timeout=120)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    shutil.copy(client, folder / "bin")
    (folder / "link").symlink_to("bin/dvm")
    for words in (["dvm", "dmactivate"], ["../link", "dmactivate"], ["dvm_dmactivate"]):
        command = [str(folder / "bin" / words[0]), *words[1:], "state", "state"]
        done = subprocess.run(
            command, capture_output=True, check=False, timeout=120, cwd=ground.folder, env=environment
        )
        assert (done.returncode, json.loads(done.stdout)["instructions"]) == (0, []), done.stderr
