"""Tests that run inside guests and are reported here: the host's side.

All selected tests of one module run in one pytest session inside one guest; its reports come back one by one while it
runs. A guest that dies or hangs fails the test that was running, and the rest of its module.
"""

from __future__ import annotations

import json
import queue
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from drystone.base.errors import DrystoneError
from drystone.lab.command import Command, feed
from drystone.lab.lab import Lab
from drystone.lab.markers import guest_options

_PROGRAM = Path(__file__).parent / "guest" / "tests.py"
"""Run by its path: pytest in the guest must be the first to import our package, as it rewrites its plugin's asserts."""
_CONSOLE_LINES = 20
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
            stderr=self._errors.extend,
            cwd=str(config.rootpath),
        )
        threading.Thread(target=self._watch, args=(self._command,), daemon=True).start()
        order = {
            "nodes": [item.nodeid for item in self._items],
            "options": [
                f"--tb={config.option.tbstyle}",
                *["-v"] * config.option.verbose,
                f"--rootdir={config.rootpath}",
            ],
        }
        feed(self._command, json.dumps(order).encode())

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

    def next_message(self) -> dict[str, Any] | None:
        """The guest's next report; None at the end."""
        message = self._messages.get()
        if message is None:
            self._messages.put(None)
        return message

    def explain_end(self) -> str:
        """Why no more reports come, with what the guest has said last."""
        parts = [self._ending, self._errors.decode(errors="replace").strip()]
        try:
            parts += ["The guest's console:", *self._lab.guests[0].console()[-_CONSOLE_LINES:]]
        except DrystoneError:
            parts.append("The lab has ended.")
        return "\n".join(part for part in parts if part)

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
        except pytest.fail.Exception as error:  # a time limit on this side
            self._trouble = f"{error.msg}\n{self._run.explain_end() if self._run else ''}"
            self.close()
            self._log(item, _failure(item, self._trouble))
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
        while self._run is not None and not self._trouble:
            message = self._run.next_message()
            if message is None:
                self._trouble = self._run.explain_end()
                break
            if message["nodeid"] != item.nodeid:
                continue  # a test that this side had given up
            report = item.config.hook.pytest_report_from_serializable(
                config=item.config, data=_with_tuples(message["report"])
            )
            self._log(item, report)
            if report.when == "teardown":
                return
        self._log(item, _failure(item, self._trouble))
        self._trouble = self._trouble if self._trouble.startswith(_NOT_RUN) else f"{_NOT_RUN} {item.nodeid}"

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
