"""A pytest session inside a guest: what to run comes as a line of JSON on stdin, a line of JSON a report goes out on
stdout, and each is answered by an empty line on stdin, for which the tests wait: what ends the guest is the test after.

What the tests themselves print to file descriptor 1 goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

_PLUGINS = ("drystone.lab.fixtures", "pytest_timeout")
"""The only plugins that kernel tests need of those that are installed: others take seconds to import in a guest."""


class Reporter:
    """A pytest plugin that writes every report to the descriptor `out`, as JSON lines, and waits for `answers`."""

    def __init__(self, out: int, answers: int) -> None:
        self._out = out
        self._answers = answers
        self._config: pytest.Config | None = None

    def pytest_configure(self, config: pytest.Config) -> None:
        """Keep the configuration, which knows how to write a report down."""
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One phase of one test is over."""
        assert self._config is not None
        data: dict[str, Any] = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        line = json.dumps({"nodeid": report.nodeid, "report": data}).encode() + b"\n"
        view = memoryview(line)
        while view:
            view = view[os.write(self._out, view) :]
        os.read(self._answers, 1)


def _read_line(handle: int) -> bytes:
    """One line, and not a byte more."""
    line = bytearray()
    while not line.endswith(b"\n") and (data := os.read(handle, 1)):
        line += data
    return bytes(line)


def main() -> int:
    """Run the tests that stdin names; pytest's exit code."""
    order = json.loads(_read_line(0))
    out, answers = os.dup(1), os.dup(0)
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)  # tests must not take the answers for their input
    os.dup2(nothing, 0)
    os.close(nothing)
    reporter = Reporter(out, answers)
    pytest.register_assert_rewrite("drystone.testing")
    options = ["--quiet", "--disable-plugin-autoload", "-pno:cacheprovider", *(f"-p{name}" for name in _PLUGINS)]
    return int(pytest.main([*options, *order["options"], *order["nodes"]], plugins=[reporter]))


if __name__ == "__main__":
    sys.exit(main())
