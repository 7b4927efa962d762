"""A pytest session inside a guest: what to run comes as JSON on stdin, one line of JSON a report goes out on stdout.

What the tests themselves print to file descriptor 1 goes to stderr.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pytest

_WITHOUT = ("cacheprovider", "xdist", "faker", "anyio", "hypothesispytest")
"""Plugins that kernel tests do without: nothing of them is kept, or they take seconds to import in a guest."""


class Reporter:
    """A pytest plugin that writes every report to the file `out`, as JSON lines."""

    def __init__(self, out: int) -> None:
        self._out = out
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


def main() -> int:
    """Run the tests that stdin names; pytest's exit code."""
    order = json.loads(sys.stdin.buffer.read())
    out = os.dup(1)
    os.dup2(2, 1)
    reporter = Reporter(out)
    without = [f"-pno:{name}" for name in _WITHOUT]
    return int(pytest.main(["--quiet", *without, *order["options"], *order["nodes"]], plugins=[reporter]))


if __name__ == "__main__":
    sys.exit(main())
