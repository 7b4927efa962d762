"""Whether the program that is in memory is still the one that is installed."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import drystone

_Mark = tuple[int, int, int, int]


class Installation:
    """The files that this process came from, as they were when it began.

    :ivar client: the program that may ask for commands: another installation's tools are others.
    """

    def __init__(self, client: str) -> None:
        """:raises OSError: there is no such client."""
        self.client = client
        self._client_mark = _mark(client)
        self._python = _python_variables(os.environ)
        first = drystone.__file__
        package = first.rpartition("/")[0] + "/"
        files = {file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))}
        own = {file for file in files if file.startswith(package)}
        others = {file.rpartition("/")[0].rpartition("/")[0] for file in files if "/site-packages/" in file}
        folders = {file.rpartition("/")[0] for file in own} | {name for name in others if name.endswith("-packages")}
        self._quick = {name: _mark(name) for name in (first, *sorted(folders))}
        self._all = {name: _mark(name) for name in sorted(own)}

    def is_client(self, pid: int) -> bool:
        """Whether that process runs this installation's client. :raises OSError: it has ended."""
        return _mark(f"/proc/{pid}/exe") == self._client_mark

    def starts_alike(self, variables: Mapping[str, str]) -> bool:
        """Whether Python would have been started with these variables as it was here."""
        return _python_variables(variables) == self._python

    def is_current(self, *, quickly: bool = False) -> bool:
        """Whether no file has been replaced. :param quickly: by the folders alone, which any installer changes."""
        try:
            marks = self._quick if quickly else {**self._quick, **self._all}
            return _mark(self.client) == self._client_mark and all(_mark(name) == old for name, old in marks.items())
        except OSError:
            return False


def _python_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Those that change how Python starts."""
    return {name: value for name, value in variables.items() if name.startswith("PYTHON")}


def _mark(path: str) -> _Mark:
    found = os.stat(path)  # noqa: PTH116  # for each command
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
