"""thin_dump, thin_restore, thin_delta, thin_ls and thin_rmap as commands: flags, files, exit codes, one error line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from drystone.cli.exits import run as run_group
from drystone.cli.pdata_tools import run_tool
from drystone.cli.thin import thin
from drystone.testing.thin_metadata import BlockMap, write_thin_metadata

FIRST = {block: 100 + block for block in range(600)}
DEVICES: dict[int, BlockMap] = {1: FIRST, 2: {**FIRST, 5: (900, 1)}, 7: {0: 950}}


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "metadata.img"
    held: dict[int, BlockMap] = {1: FIRST}
    path.write_bytes(write_thin_metadata(DEVICES, held=held, transaction_id=5, time=1))
    return str(path)


@pytest.fixture
def target(tmp_path: Path) -> str:
    path = tmp_path / "new.img"
    path.write_bytes(b"\xa5" * 4096 * 100)
    return str(path)


def run(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = run_tool(words)
    printed = capfd.readouterr()
    return code, printed.out, printed.err


def test_dump_to_stdout_and_to_a_file(image: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capfd, "thin_dump", image)
    assert (code, err) == (0, "")
    assert out.startswith('<superblock uuid="" time="1" transaction="5" version="2"')
    assert out.count("<def name=") == 1
    assert run(capfd, "thin_dump", image, "-o", str(tmp_path / "x"))[:2] == (0, "")
    assert (tmp_path / "x").read_text() == out


@pytest.mark.parametrize(
    ("words", "due"),
    [
        (["--dev-id", "7", "--dev-id", "8"], '<device dev_id="7"'),
        (["--skip-mappings"], '<device dev_id="2"'),
        (["--compat", "0.9"], 'transaction="5" flags="0"'),
        (["-f", "human_readable"], 'begin superblock: "", 1, 5, 0, 2, 128, 951'),
        (["--transaction-id", "9"], 'transaction="9"'),
        (["-r"], "<def name="),
        (["-m"], 'nr_data_blocks="0"'),
    ],
)
def test_dump_flags(image: str, words: list[str], due: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "thin_dump", *words, image)
    assert code == 0
    assert due in out


def test_the_snapshot_may_be_named_by_its_block(image: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "thin_delta", "--compat", "0.9", "--thin1", "1", "--thin2", "2", image)
    assert code == 0
    block = out.partition('metadata_snap="')[2].partition('"')[0]
    assert run(capfd, "thin_dump", f"--metadata-snap={block}", image)[0] == 0
    assert run(capfd, "thin_dump", f"-m={block}", image)[0] == 0
    code, _, err = run(capfd, "thin_dump", "-m=3", image)
    assert (code, err) == (1, f"thin_dump: {image}: the metadata snapshot is at block {block}, not at 3\n")
    assert run(capfd, "thin_dump", "-m=x", image)[0] == 2


def test_the_saved_part_of_damaged_metadata(image: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(Path(image).read_bytes())
    data[4096 + 50] ^= 1
    Path(image).write_bytes(data)
    code, _, err = run(capfd, "thin_dump", image)
    assert code == 1
    assert err.startswith(f"thin_dump: {image}: block 1: mapping tree: checksum")
    assert err.count("\n") == 1
    code, out, err = run(capfd, "thin_dump", "-r", image)
    assert code == 0
    assert "device 1 lacks blocks 0 to 251: block 1: checksum" in err
    assert '<range_mapping origin_begin="252" data_begin="352" length="348" time="0"/>' in out


@pytest.mark.parametrize("form", ["xml", "json"])
def test_restore(image: str, target: str, tmp_path: Path, form: str, capfd: pytest.CaptureFixture[str]) -> None:
    dump = str(tmp_path / "dump")
    run(capfd, "thin_dump", "-f", form, image, "-o", dump)
    code, out, err = run(capfd, "thin_restore", "-i", dump, "-o", target)
    assert (code, err) == (0, "")
    assert out == f"{target}: transaction 5, 16 metadata blocks used\n"
    assert run_tool(["thin_check", "-q", target]) == 0
    assert run(capfd, "thin_dump", "--compat", "0.9", target) == run(capfd, "thin_dump", "--compat", "0.9", image)


def test_restore_from_stdin_prints_nothing_when_quiet(
    image: str, target: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dump = run(capfd, "thin_dump", image)[1]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(dump.encode())))
    assert run(capfd, "thin_restore", "-q", "-i", "-", "-o", target) == (0, "", "")
    code, out, _ = run(capfd, "thin_restore", "--json", "-i", image, "-o", target)
    assert code == 1
    assert out == ""


def test_what_restore_refuses(image: str, target: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "text"
    text.write_text("no xml at all\n")
    old = Path(target).read_bytes()
    for words, code, due in (
        (["-i", str(text), "-o", target], 1, f"thin_restore: {text}: line 1: no XML: syntax error\n"),
        (["-i", str(tmp_path / "none"), "-o", target], 1, "there is no such file"),
        (["-i", str(text), "-o", str(tmp_path / "none")], 1, "make the file first"),
        (["-i", str(text), "-o", str(text)], 1, "is the input"),
        (["-i", str(text)], 2, "--output"),
        (["-i", str(text), "-o", target, "--data-block-size", "x"], 2, "not a valid integer"),
    ):
        found, out, err = run(capfd, "thin_restore", *words)
        assert (found, out) == (code, "")
        assert due in err
    assert Path(target).read_bytes() == old
    assert text.read_text() == "no xml at all\n"
    code, _, err = run(capfd, "thin_dump", image, "-o", image)
    assert code == 1
    assert "is the input" in err
    assert run(capfd, "thin_dump", image)[0] == 0


@pytest.mark.parametrize(
    ("old", "new", "due"),
    [
        ('data_block_size="128"', 'data_block_size="129"', "<superblock>: data block size is 129, expected 128 to"),
        ('nr_data_blocks="951"', 'nr_data_blocks="5"', "line 3: data block 699, expected below 5"),
        ('<device dev_id="7"', '<device dev_id="1"', "there are two devices 1"),
    ],
)
def test_what_does_not_go_together_names_the_dump(
    image: str, target: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], old: str, new: str, due: str
) -> None:
    text = tmp_path / "text"
    dump = run(capfd, "thin_dump", image)[1]
    assert old in dump
    text.write_text(dump.replace(old, new))
    code, _, err = run(capfd, "thin_restore", "-i", str(text), "-o", target)
    assert code == 1
    assert err.startswith(f"thin_restore: {text}: ")
    assert due in err
    assert run(capfd, "thin_restore", "-i", str(text), "-o", target, "--data-block-size", "129")[0] == 2


def test_what_the_shell_opened_is_not_written_over(image: str, tmp_path: Path) -> None:
    """The same file as stdin and output, or as input and stdout: told by the file descriptor, not by a name."""
    tool = [sys.executable, "-c", "from drystone.cli.pdata_tools import main; main()"]
    dump = tmp_path / "dump.xml"
    subprocess.run([*tool, "thin_dump", image, "-o", str(dump)], check=True)
    text, data = dump.read_bytes(), Path(image).read_bytes()
    with dump.open("rb") as file:
        words = ["thin_restore", "-i", "-", "-o", str(dump)]
        done = subprocess.run([*tool, *words], stdin=file, capture_output=True, check=False)
    assert (done.returncode, dump.read_bytes()) == (1, text)
    assert b"is the input, stdin" in done.stderr
    with Path(image).open("ab") as file:
        done = subprocess.run([*tool, "thin_dump", image], stdout=file, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, Path(image).read_bytes()) == (1, data)
    assert b"stdout is the input" in done.stderr


def test_delta(image: str, capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capfd, "thin_delta", "--thin1", "1", "--snap2", "2", "--changed-only", image)
    assert code == 0
    assert out.splitlines()[1:] == [
        '  <diff left="1" right="2">',
        '    <different begin="5" length="1"/>',
        "  </diff>",
        "</superblock>",
    ]
    _, out, _ = run(capfd, "thin_delta", "--thin1", "1", "--thin2", "2", "--json", "--verbose", image)
    assert json.loads(out)["rows"] == [
        ["same", 0, 5, 100, 100],
        ["different", 5, 1, 105, 900],
        ["same", 6, 594, 106, 106],
    ]


@pytest.mark.parametrize(
    ("words", "code", "due"),
    [
        (["--thin1", "1"], 2, "give either --thin2 or --root2"),
        (["--thin1", "1", "--root1", "1", "--thin2", "1"], 2, "give either --thin1 or --root1"),
        (["--thin1", "1", "--thin2", "99"], 1, "there is no thin device 99"),
        (["--thin1", "1", "--root2", "0"], 1, "root of the mapping tree is 0"),
        (["--thin1", "1", "--root2", "9999999"], 1, "root of the mapping tree is 9999999"),
    ],
)
def test_what_delta_refuses(
    image: str, words: list[str], code: int, due: str, capfd: pytest.CaptureFixture[str]
) -> None:
    found, _, err = run(capfd, "thin_delta", *words, image)
    assert found == code
    assert due in err


def test_ls(image: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(capfd, "thin_ls", image)[1] == (
        "DEV MAPPED CREATE_TIME SNAP_TIME \n"
        "  1  38MiB           0         0 \n"
        "  2  38MiB           0         0 \n"
        "  7  64KiB           0         0 \n"
    )
    assert run(capfd, "thin_ls", "-o", "DEV,EXCLUSIVE_BLOCKS", "--no-headers", image)[1] == "1 1 \n2 1 \n7 1 \n"
    rows = json.loads(run(capfd, "thin_ls", "--json", "-m", image)[1])
    assert [row["exclusive_blocks"] for row in rows] == [600]
    assert run(capfd, "thin_ls", "-o", "DEV,X", image)[0] == 2


def test_rmap(image: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(capfd, "thin_rmap", "--region", "104..106", image)[1] == (
        "data 104..105 -> thin(2) 4..5\ndata 104..106 -> thin(1) 4..6\n"
    )
    document = json.loads(run(capfd, "thin_rmap", "--region", "950..951", "--json", image)[1])
    assert document == [{"data_begin": 950, "data_end": 951, "dev_id": 7, "thin_begin": 0, "thin_end": 1}]
    for words in ([], ["--region", "5"], ["--region", "5..5"], ["--region", "9..5"], ["--region", "-1..5"]):
        assert run(capfd, "thin_rmap", *words, image)[0] == 2


@pytest.mark.parametrize("tool", ["thin_dump", "thin_ls"])
@pytest.mark.parametrize(
    ("content", "due"), [(b"", "expected 4096 bytes or more"), (bytes(8192), "thin magic is 0"), (None, "there is no")]
)
def test_files_that_are_no_metadata(
    tool: str, content: bytes | None, due: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    code, out, err = run(capfd, tool, str(path))
    assert (code, out) == (1, "")
    assert due in err
    assert str(path) in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["--bogus", "x"], [], ["--format", "yaml", "x"]])
def test_wrong_arguments_are_one_line_under_drystone_too(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_group(thin, ["dump", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("thin_dump: ")
    assert err.count("\n") == 1
