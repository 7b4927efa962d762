"""Tests that run inside guests and are reported here: the host's side.

All selected tests of one module run in one pytest session inside one guest; its reports come back one by one while it
runs, and each waits until it was taken, so that what ends a guest is blamed on the test that was running. A guest that
dies or hangs fails that test, and the rest of its module. Time limits (pytest-timeout) run in the guest, which knows
where a test hangs; this side steps in when the guest does not report.
"""

from __future__ import annotations

import contextlib
import json
import queue
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from drystone.base.errors import DrystoneError, TimedOutError, UnavailableError
from drystone.lab.command import Command
from drystone.lab.lab import Lab
from drystone.lab.markers import guest_options
from drystone.lab.node import last_words

_PROGRAM = Path(__file__).parent / "guest" / "tests.py"
"""Run by its path: pytest in the guest must be the first to import our package, as it rewrites asserts in it."""
_CONSOLE_LINES = 20
_GRACE = 15.0
"""Seconds that a guest has, after a test's time limit, to report that itself."""
_PROGRESS = re.compile(r"[.FEsxX]+( *\[ *[0-9]+%\])?")
"""A line of pytest's progress, which says nothing here."""
LIMIT: pytest.StashKey[float] = pytest.StashKey()
"""A test's time limit in seconds, when it has one."""
_NOT_RUN = "not run, for the trouble that is reported at"


class ModuleRun:
    """One module's tests in one guest. `start` boots; `next_message` is None once no more will come."""

    def __init__(self, items: list[pytest.Item]) -> None:
        self._items = items
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._errors = bytearray()
        self._partial = bytearray()
        self._lab = Lab(**guest_options(items[0]))
        self._command: Command | None = None
        self._ending = ""

    def start(self) -> None:
        """Boot the guest and begin the tests in it.

        :raises DrystoneError: the guest did not come up.
        """
        config = self._items[0].config
        self._lab.start()
        self._command = self._lab.guests[0].start(
            [sys.executable, "-P", str(_PROGRAM)],
            stdout=self._take,
            stderr=_pass_on if config.option.capture == "no" else self._errors.extend,
            cwd=str(config.rootpath),
        )
        threading.Thread(target=self._watch, args=(self._command,), daemon=True).start()
        order = {"nodes": [item.nodeid for item in self._items], "options": _options(config)}
        self._command.write(json.dumps(order).encode() + b"\n")

    def _take(self, data: bytes) -> None:
        *lines, rest = (bytes(self._partial) + data).split(b"\n")
        self._partial[:] = rest
        for line in lines:
            self._messages.put(json.loads(line))

    def _watch(self, command: Command) -> None:
        try:
            status = command.pump()
            self._ending = f"pytest in the guest ended with {status}"
        except DrystoneError as error:
            self._ending = str(error)
        finally:
            self._messages.put(None)

    def next_message(self, timeout: float | None) -> dict[str, Any] | None:
        """The guest's next report; None at the end. `timeout` is in seconds.

        :raises TimedOutError: there was none.
        """
        try:
            message = self._messages.get(timeout=timeout)
        except queue.Empty:
            raise TimedOutError(f"the guest has reported nothing for {timeout:g} s") from None
        if message is None:
            self._messages.put(None)
        return message

    def go_on(self) -> None:
        """A report was taken: the guest may go on."""
        if self._command is not None:
            with contextlib.suppress(UnavailableError):  # the next message says so
                self._command.write(b"\n")

    def explain_end(self) -> str:
        """Why no more reports come, with what the guest has said last."""
        lines = self._errors.decode(errors="replace").strip().splitlines()
        parts = [self._ending, *(line for line in lines if not _PROGRESS.fullmatch(line))]
        try:
            console = last_words(self._lab.guests[0].console())[-_CONSOLE_LINES:]
        except DrystoneError:
            console = ["the lab has ended"]
        return "\n".join([*parts, *(["The guest's console:", *console] if console else [])]).strip()

    def close(self) -> None:
        """End the guest."""
        if self._command is not None:
            self._command.close()
        self._lab.close()


class RemoteTests:
    """Reports of tests that run in guests. One guest at a time. The constructor has no effects."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self._path: object = None
        self._run: ModuleRun | None = None
        self._trouble = ""

    def report(self, item: pytest.Item) -> None:
        """Wait until `item` has run in its module's guest, and report it to pytest."""
        if item.path != self._path:
            self._change(item)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        try:
            self._report_phases(item)
        except TimedOutError as error:
            explained = self._run.explain_end() if self._run else ""
            self.close()
            self._fail(item, f"{error.message}\n{explained}")
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)

    def _change(self, item: pytest.Item) -> None:
        self.close()
        self._path, self._trouble = item.path, ""
        items = [each for each in self._session.items if each.path == item.path and each.get_closest_marker("in_guest")]
        self._run = ModuleRun(items)
        try:
            self._run.start()
        except DrystoneError as error:
            self._trouble = f"the guest did not come up: {error}"
            self.close()

    def _report_phases(self, item: pytest.Item) -> None:
        """Log the item's reports up to its teardown, or one failure in their place."""
        limit = item.stash.get(LIMIT, 0.0)
        while self._run is not None and not self._trouble:
            message = self._run.next_message(limit + _GRACE if limit else None)
            if message is None:
                self._trouble = self._run.explain_end()
                break
            self._run.go_on()
            report = item.config.hook.pytest_report_from_serializable(
                config=item.config, data=_with_tuples(message["report"])
            )
            self._log(item, report)
            if report.when == "teardown":
                return
        self._fail(item, self._trouble)

    def _fail(self, item: pytest.Item, text: str) -> None:
        """Report one failure in the place of a guest's reports; the module's later tests are told of this one."""
        self._log(item, _failure(item, text))
        self._trouble = text if text.startswith(_NOT_RUN) else f"{_NOT_RUN} {item.nodeid}"

    @staticmethod
    def _log(item: pytest.Item, report: pytest.TestReport) -> None:
        item.ihook.pytest_runtest_logreport(report=report)

    def close(self) -> None:
        """End the guest, if there is one."""
        if self._run is not None:
            before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave a guest behind
            try:
                self._run.close()
            finally:
                signal.signal(signal.SIGINT, before)
            self._run = None


def _options(config: pytest.Config) -> list[str]:
    """What the caller has asked of pytest, as far as it matters in the guest."""
    option = config.option
    limit = config.getoption("timeout", None)
    return [
        f"--tb={option.tbstyle}",
        *["-v"] * option.verbose,
        *(["--showlocals"] if option.showlocals else []),
        *(["--capture=no"] if option.capture == "no" else []),
        *([f"--timeout={limit}"] if limit is not None else []),
        f"--rootdir={config.rootpath}",
        *([f"--config-file={config.inipath}"] if config.inipath else []),
    ]


def _pass_on(data: bytes) -> None:
    sys.stderr.write(data.decode(errors="replace"))
    sys.stderr.flush()


def _with_tuples(data: dict[str, Any]) -> dict[str, Any]:
    """A report's document as pytest had written it, before JSON made lists of its tuples."""
    changed = {"location": tuple(data["location"]), "sections": [tuple(each) for each in data["sections"]]}
    if isinstance(data["longrepr"], list):
        changed["longrepr"] = tuple(data["longrepr"])
    return {**data, **changed}


def _failure(item: pytest.Item, text: str) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=text,
        when="call",
    )
