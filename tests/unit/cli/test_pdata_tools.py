from __future__ import annotations

import pytest

from drystone.cli.pdata_tools import run_tool

EXAMPLE = ["thin_metadata_size", "-b", "2m", "-s", "100G", "-m", "100000", "-u", "M"]
LINE = (
    "thin_metadata_size - 411.15 megabytes estimated metadata area size for "
    '"--block-size=2mebibytes --pool-size=100gigabytes --max-thins=100000"\n'
)


def test_the_documented_line_to_the_letter(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool(EXAMPLE) == 0
    assert capsys.readouterr().out == LINE


def test_long_flags_and_sectors(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool(["thin_metadata_size", "--block-size=128", "--pool-size=1t", "--max-thins=1000"]) == 0
    assert capsys.readouterr().out == (
        "thin_metadata_size - 1073224 sectors estimated metadata area size for "
        '"--block-size=128sectors --pool-size=1tebibytes --max-thins=1000"\n'
    )


@pytest.mark.parametrize(
    ("flags", "printed"),
    [
        (["-n"], "411.15"),
        (["-nshort"], "411.15M"),
        (["-nlong"], "411.15megabytes"),
        (["--numeric-only=long"], "411.15megabytes"),
        (["-ns"], "411.15M"),
        (["-n", "-u", "s"], "803032"),
    ],
)
def test_numbers_alone(flags: list[str], printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool([*EXAMPLE, *flags]) == 0
    assert capsys.readouterr().out == printed + "\n"


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["thin_metadata_size"], "--block-size"),
        (["thin_metadata_size", "-b", "64k", "-s", "1t"], "--max-thins"),
        ([*EXAMPLE, "-b", "65k"], "64 KiB"),
        ([*EXAMPLE, "-b", "2g"], "1 GiB"),
        ([*EXAMPLE, "-s", "2m"], "larger than block size"),
        ([*EXAMPLE, "-m", "0"], "max thins"),
        ([*EXAMPLE, "-u", "q"], "'q'"),
        ([*EXAMPLE, "-nfoo"], "'foo'"),
        ([*EXAMPLE, "more"], "more"),
        ([*EXAMPLE, "--bogus"], "--bogus"),
        (["thin_bogus"], "thin_bogus"),
    ],
)
def test_wrong_arguments_are_one_line_and_exit_2(
    words: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tool(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert part in printed.err
    name = "convoy-pdata_tools" if words == ["thin_bogus"] else "thin_metadata_size"
    assert printed.err.startswith(f"{name}: ")


@pytest.mark.parametrize(
    "words", [["-V"], ["--version"], ["thin_metadata_size", "-V"], ["-h"], ["thin_metadata_size", "--help"]]
)
def test_version_and_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool(words) == 0
    assert capsys.readouterr().out


def test_no_tool_named_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tool([]) == 2
    assert "thin_metadata_size" in capsys.readouterr().err
