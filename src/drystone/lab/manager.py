"""The systemd of a guest (`Lab(init="systemd")`), asked from outside by its own commands."""

from __future__ import annotations

import contextlib
import time

from drystone.base.errors import TimedOutError, UnavailableError
from drystone.lab.lab import Guest

_PAUSE = 0.2
_AT_REST = ("running", "degraded", "maintenance")
"""What `systemctl is-system-running` says once nothing is to be started any more (systemctl(1))."""


class Manager:
    """The first process of `guest`. The constructor has no effects."""

    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    def systemctl(self, *words: str) -> str:
        """What the command prints.

        :raises DrystoneError: it failed.
        """
        return self._guest.run(["systemctl", "--no-pager", *words], cwd="/").check().text

    def wait_until_started(self, timeout: float = 120.0) -> str:
        """`running`, or `degraded` when a unit failed, once all units have been started. `timeout` is in seconds.

        :raises TimedOutError: some are being started still.
        """
        limit = time.monotonic() + timeout
        while True:
            state = self._guest.run(["systemctl", "is-system-running"], cwd="/").text.strip()
            if state in _AT_REST:
                return state
            if time.monotonic() > limit:
                raise TimedOutError(f"{self._guest.name} was still {state} after {timeout:g} s")
            time.sleep(_PAUSE)

    def show(self, unit: str, name: str) -> str:
        """A property of a unit, such as ActiveState."""
        return self.systemctl("show", f"--property={name}", "--value", unit).strip()

    def journal(self, *words: str) -> list[str]:
        """Messages of this boot, the oldest first; `words` are options of journalctl."""
        command = ["journalctl", "--boot", "--no-pager", "--quiet", "--output=cat", *words]
        return self._guest.run(command, cwd="/").check().text.splitlines()

    def power_off(self, timeout: float = 120.0) -> None:
        """Have everything stopped in order, until the power is off; the guest can be booted again then.

        :raises TimedOutError: it is not, after so many seconds.
        """
        with contextlib.suppress(UnavailableError):  # gone before the command's end was told
            self._guest.run(["systemctl", "poweroff"], cwd="/")
        limit = time.monotonic() + timeout
        while self._guest.state() == "up":
            if time.monotonic() > limit:
                raise TimedOutError(f"{self._guest.name} has not stopped after {timeout:g} s")
            time.sleep(_PAUSE)
