"""`drystone backup diff|export|restore|mount|unmount` as they are typed, as far as no kernel is needed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from drystone.base.errors import DrystoneError, UsageError
from drystone.cli.backup import backup
from drystone.cli.backup.background import Report, run_in_background
from drystone.cli.exits import run

MIB = 1 << 20


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(b"".join(bytes([each]) * MIB for each in range(5)))
    return path


@pytest.fixture
def url(image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    return answer(capsys, "create", image, "--dest", f"vfs://{tmp_path}/backups", "--no-encryption").strip()


def answer(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    assert run(backup, [str(word) for word in words]) == 0
    return capsys.readouterr().out


def refuse(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    code = run(backup, [str(word) for word in words])
    printed = capsys.readouterr()
    return code, printed.err


def test_differences_of_a_backup_and_of_two(image: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with image.open("r+b") as file:
        file.seek(3 * MIB + 5000)
        file.write(b"new")
    dest = url.partition("?backup=")[0]
    other = answer(capsys, "create", image, "--dest", dest).strip()
    for against in (other, str(image)):
        found = json.loads(answer(capsys, "diff", "--json", url, against))
        assert found == {"bytes": MIB, "ranges": [[3 * MIB, MIB]]}
        found = json.loads(answer(capsys, "diff", "--json", "--exact", url, against))
        assert found == {"bytes": 4096, "ranges": [[3 * MIB + 4096, 4096]]}
    assert answer(capsys, "diff", url, other).split() == ["OFFSET", "LENGTH", str(3 * MIB), str(MIB)]
    assert json.loads(answer(capsys, "diff", "--json", other, image)) == {"bytes": 0, "ranges": []}


def test_exports(image: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(capsys, "export", url, tmp_path / "raw") == ""
    assert (tmp_path / "raw").read_bytes() == image.read_bytes()
    assert refuse(capsys, "export", url, tmp_path / "raw")[0] == 4
    done = json.loads(answer(capsys, "export", url, tmp_path / "q", "--format", "qcow2", "--json", "--compress"))
    assert done["format"] == "qcow2"
    assert (tmp_path / "q").read_bytes()[:4] == b"QFI\xfb"


def test_a_restore_in_place_says_what_it_wrote(image: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = image.read_bytes()
    image.write_bytes(b"x" + wanted[1 : 2 * MIB] + b"x" + wanted[2 * MIB + 1 :])
    done = json.loads(answer(capsys, "restore", "--in-place", "--json", url, image))
    assert (done["compared"], done["written"], done["zeroed"], done["damages"]) == (5 * MIB, MIB, MIB, [])
    assert image.read_bytes() == wanted


def test_a_restore_past_damage_lists_it_and_ends_with_its_code(
    image: Path, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for pack in (tmp_path / "backups").rglob("packs/*/*"):
        data = bytearray(pack.read_bytes())
        if b"PACK" in data[:8] and len(data) < 2000:
            data[90] ^= 1  # in the first record
            pack.write_bytes(data)
    assert refuse(capsys, "restore", url, tmp_path / "out")[0] == 10
    code, error = refuse(capsys, "restore", "--skip-damaged", url, tmp_path / "out")
    assert code == 10
    assert f"of {tmp_path / 'out'} were left alone" in error
    assert (tmp_path / "out").stat().st_size == 5 * MIB


@pytest.mark.parametrize(
    "words",
    [
        ("restore", "URL", "out", "--in-place", "--overwrite"),
        ("restore", "URL", "out", "--instant"),
        ("restore", "URL", "out", "--name", "n1"),
        ("restore", "URL", "out", "--instant", "--name", "n1", "--in-place"),
        ("restore", "URL", "out", "--instant", "--name", "-wrong"),
        ("export", "URL", "-", "--format", "qcow2"),
        ("export", "URL", "out", "--compress"),
        ("mount", "URL", "--at", "/", "--socket", "s"),
        ("mount", "URL", "--at", "/nonesuch"),
        ("mount", "no url"),
        ("mount", "--background", "no url"),
        ("diff", "URL", "/"),
    ],
)
def test_what_does_not_go_together_is_refused(
    words: tuple[str, ...], url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = refuse(capsys, *(url if word == "URL" else word for word in words))
    assert code == 2


@pytest.mark.parametrize("what", ["/nonesuch", "vfs:///nonesuch?backup=x&volume=y"])
def test_what_is_not_mounted_is_not_unmounted(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert refuse(capsys, "unmount", what)[0] == 3


def fail_oddly(_report: Report) -> None:
    raise ZeroDivisionError("a defect")


def test_a_background_process_that_dies_is_told() -> None:
    with pytest.raises(DrystoneError, match="ended at once: 7"):
        run_in_background(lambda _report: os._exit(7))
    with pytest.raises(DrystoneError, match="ZeroDivisionError") as caught:
        run_in_background(fail_oddly)
    assert caught.value.exit_code == 70
    assert run_in_background(lambda report: report({"path": "x"})) == {"path": "x"}
    os.wait()


def test_a_background_process_that_fails_later_writes_to_no_file_of_its_work(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def work(report: Report) -> None:
        report({})
        for _ in range(20):  # one of them has the number of what the report went to
            os.open(path, os.O_WRONLY | os.O_CREAT)
        raise UsageError("it failed later")

    run_in_background(work)
    os.wait()
    assert path.read_bytes() == b""
