"""`dvm replicate` on plain files: one document a call, exit codes, files for regions, sources and destinations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from drystone.base.errors import DrystoneError
from drystone.cli.dvm.replicate import replicate


class Place:
    """A folder with two files, regions.json over them, and the tool."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.regions = str(folder / "regions.json")
        for name, pages in (("a", 64), ("b", 80)):
            (folder / name).write_bytes(bytes(pages * 4096))
        self.write_regions("regions.json", "a", "b")

    def write_regions(self, file: str, *names: str) -> str:
        path = self.folder / file
        path.write_text(json.dumps([{"path": str(self.folder / name), "begin": 1, "end": 60} for name in names]))
        return str(path)

    def write(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def run(self, *words: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(replicate, list(words), input=stdin)

    def document(self, *words: str, stdin: bytes | None = None) -> dict[str, object]:
        result = self.run(*words, stdin=stdin)
        assert result.exit_code == 0, (result.output, result.exception)
        found = json.loads(result.stdout)
        assert isinstance(found, dict)
        return found

    def fails(self, *words: str) -> DrystoneError:
        result = self.run(*words)
        assert isinstance(result.exception, DrystoneError), (result.output, result.exception)
        return result.exception


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_format_prepare_commit_read(place: Place) -> None:
    made = place.document("format", place.regions, "--keep", "3")
    assert (made["schema"], made["version"], made["operation"]) == (
        "drystone.dvm.replicate.outcome",
        1,
        "format",
    )
    place.document("prepare", place.regions, place.write("source", b"hello" * 2000))
    place.document("commit", place.regions)
    dest = place.folder / "dest"
    found = place.document("read", place.regions, str(dest))
    assert dest.read_bytes() == b"hello" * 2000
    assert isinstance(found["transaction"], dict)
    assert found["transaction"]["length"] == 10_000


def test_data_by_stdin_and_stdout_may_be_empty(place: Place) -> None:
    place.document("format", place.regions)
    place.document("prepare", place.regions, "-", stdin=b"")
    place.document("commit", place.regions)
    dest = place.folder / "dest"
    place.document("read", place.regions, str(dest))
    assert dest.read_bytes() == b""


def test_older_versions(place: Place) -> None:
    place.document("format", place.regions)
    for data in (b"one", b"two"):
        place.document("prepare", place.regions, place.write("source", data))
        place.document("commit", place.regions)
    dest = place.folder / "dest"
    place.document("read", place.regions, str(dest), "--sequence", "1")
    assert dest.read_bytes() == b"one"
    listed = place.document("history", place.regions)["transactions"]
    assert isinstance(listed, list)
    assert [each["sequence"] for each in listed] == [2, 1, 0]
    assert "SEQUENCE" in place.run("history", place.regions, "--text").stdout


def test_abort_and_recover(place: Place) -> None:
    place.document("format", place.regions)
    place.document("prepare", place.regions, place.write("source", b"one"))
    assert place.fails("read", place.regions, str(place.folder / "dest")).exit_code == 5
    assert not (place.folder / "dest").exists()
    place.document("abort", place.regions)
    place.document("prepare", place.regions, place.write("source", b"two"))
    place.document("commit", place.write_regions("one.json", "a"))
    assert place.fails("commit", place.regions).exit_code == 11
    told = place.document("status", place.regions)
    assert told["agreement"] == "out-of-step"
    assert place.document("recover", place.regions)["agreement"] == "clean"
    assert "clean" in place.run("status", place.regions, "--text").stdout


def test_a_base_that_moved_on(place: Place) -> None:
    place.document("format", place.regions)
    error = place.fails("prepare", place.regions, place.write("source", b"one"), "--parent", "0" * 64)
    assert error.exit_code == 11


def test_further_regions_from_a_group(place: Place) -> None:
    place.document("format", place.regions)
    place.document("prepare", place.regions, place.write("source", b"one"))
    place.document("commit", place.regions)
    place.write("c", bytes(64 * 4096))
    new = place.write_regions("new.json", "c")
    place.document("format", new, "--from", place.regions)
    place.document("read", place.write_regions("all.json", "a", "b", "c"), str(place.folder / "dest"))
    assert place.fails("format", new, "--from", place.regions).exit_code == 13
    assert place.fails("format", new, "--from", new).exit_code == 2
    assert place.fails("format", new, "--from", place.regions, "--group", "x").exit_code == 2


def test_status_tells_of_a_missing_device_and_others_fail(place: Place) -> None:
    place.document("format", place.regions)
    regions = place.write_regions("more.json", "a", "gone")
    told = place.document("status", regions)
    assert isinstance(told["regions"], list)
    assert [each["state"] for each in told["regions"]] == ["clean", "unreadable"]
    for words in (("commit",), ("abort",), ("recover",), ("history",), ("read", str(place.folder / "dest"))):
        assert place.fails(words[0], regions, *words[1:]).exit_code == 3


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("commit", "missing.json"), 3),
        (("prepare", "regions.json", "missing"), 3),
        (("prepare", "regions.json", "."), 2),
        (("prepare", "-", "-"), 2),
        (("format", "regions.json", "--group", "no-uuid"), 2),
        (("status", "broken.json"), 2),
        (("status", "overlap.json"), 2),
        (("status", "long.json"), 2),
        (("commit", "regions.json"), 3),
    ],
)
def test_wrong_arguments(place: Place, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int) -> None:
    monkeypatch.chdir(place.folder)
    place.write("broken.json", b'[{"path": "a"}]')
    place.write("overlap.json", b'[{"path": "a", "begin": 1, "end": 9}, {"path": "./a", "begin": 8, "end": 16}]')
    place.write("long.json", b'[{"path": "a", "begin": 1, "end": 65}]')
    error = place.fails(*words)
    assert error.exit_code == code
    assert error.hint or code == 3
