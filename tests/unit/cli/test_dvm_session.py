"""Words that ask for a log, and a configuration that is passed down."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from drystone.base.errors import UsageError
from drystone.cli.dvm.configuration import pass_down_option
from drystone.cli.dvm.discover import discover
from drystone.cli.dvm.session import log_option, with_log


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("discover find vg", "discover find vg"),
        ("--log F discover find vg", "record F discover find vg"),
        ("--log=F discover find vg", "record F discover find vg"),
        ("-c C --log F discover list", "-c C record F discover list"),
        ("--log F -c C discover list", "-c C record F discover list"),
        ("discover --log F", "discover --log F"),
        ("-c --log F", "-c --log F"),
        ("--log", "--log"),
        ("", ""),
    ],
)
def test_words(words: str, expected: str) -> None:
    assert with_log(words.split()) == expected.split()


def test_a_log_is_asked_for_by_name_only() -> None:
    @click.group()
    @log_option
    def tools() -> None:
        """All tools."""

    tools.add_command(discover)
    result = CliRunner().invoke(tools, ["--log", "F", "discover", "list"])
    assert isinstance(result.exception, UsageError)
    assert result.exception.hint == "drystone dvm record F TOOL ..."
    assert "--log FILE" in CliRunner().invoke(tools, ["--help"]).output


def test_the_groups_configuration_is_passed_down_and_the_tools_own_wins(tmp_path: Path) -> None:
    @click.group()
    @pass_down_option
    def tools() -> None:
        """All tools."""

    tools.add_command(discover)
    (tmp_path / "wrong").write_text("[nothing]\n")
    (tmp_path / "right").write_text("[discover]\ndevices = false\n")
    result = CliRunner().invoke(tools, ["-c", str(tmp_path / "wrong"), "discover", "list"])
    assert isinstance(result.exception, UsageError)
    words = ["-c", str(tmp_path / "wrong"), "discover", "list", "-c", str(tmp_path / "right")]
    assert CliRunner().invoke(tools, words).exit_code == 0
    assert CliRunner().invoke(tools, ["-c", str(tmp_path / "right"), "discover", "list"]).exit_code == 0
