"""The host's own initiator: open-iscsi's iscsiadm changes, sysfs tells.

Sessions are made from static records, without discovery: the target, the portal and the secret are known to who asks.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

from drystone.base.clock import Clock, SystemClock
from drystone.base.errors import DamagedError, DrystoneError, KernelError, NotFoundError, UsageError
from drystone.kernel.iscsi.abc import Disk, Session, Timeouts, find_session, no_session
from drystone.kernel.iscsi.daemon import Run, ensure_running
from drystone.kernel.iscsi.exits import (
    DISTURBED,
    ENDING,
    NOT_CONNECTED,
    NOTHING_FOUND,
    SESSION_EXISTS,
    failure,
    in_use,
    lost,
)
from drystone.kernel.iscsi.names import Chap, Portal, check_iqn
from drystone.kernel.iscsi.observation import read_sessions, session_class
from drystone.kernel.iscsi.records import GROUP, RECORDS, record_settings, write_secret
from drystone.kernel.programs import Outcome, run_program
from drystone.kernel.sysfs import SYSFS

NAME_FILE = "/etc/iscsi/initiatorname.iscsi"
_PACKAGE = "open-iscsi"
_PATIENCE, _PAUSE = 20.0, 0.2
"""Seconds for which iscsiadm is run again, and between two runs."""


def run_open_iscsi(program: str, arguments: Sequence[str]) -> Outcome:
    """Run one of open-iscsi's programs. :raises UnsupportedError: it is not installed."""
    return run_program(program, arguments, package=_PACKAGE)


class OpenIscsi:
    """Initiator by open-iscsi. The constructor has no effects; a change loads modules and starts iscsid.

    :param run: how programs are run. :param start: has iscsid at its socket. :param find_user: who has a disk, in
        words, "" for nobody. :param records: open-iscsi's folder of records.
    """

    def __init__(
        self,
        *,
        run: Run = run_open_iscsi,
        start: Callable[[Run, Clock], None] | None = None,
        find_user: Callable[[Disk, bool], str] | None = None,
        sysfs: str = SYSFS,
        records: str = RECORDS,
        name_file: str = NAME_FILE,
        clock: Clock | None = None,
    ) -> None:
        self._run = run
        self._start = start or _start
        self._find_user = find_user or _find_user
        self._sysfs = sysfs
        self._records = records
        self._name_file = name_file
        self._clock: Clock = clock or SystemClock()

    def name(self) -> str:
        try:
            lines = Path(self._name_file).read_text(encoding="utf-8", errors="backslashreplace").splitlines()
        except OSError:
            lines = []
        for line in lines:
            key, divider, value = line.partition("=")
            if divider and key.strip() == "InitiatorName":
                try:
                    return check_iqn(value.strip(), "initiator's name")
                except UsageError as error:
                    raise DamagedError(f"{self._name_file}: {error.message}", hint=error.hint) from error
        raise NotFoundError("this host has no initiator's name", hint=f"write InitiatorName=IQN into {self._name_file}")

    def sessions(self) -> list[Session]:
        return read_sessions(self._sysfs)

    def login(self, target: str, portal: Portal, *, chap: Chap | None = None, timeouts: Timeouts | None = None) -> None:
        check_iqn(target, "target")
        timeouts = timeouts or Timeouts()
        self._start(self._run, self._clock)  # also where there is a session: iscsid is who logs in again
        known = find_session(self.sessions(), target, portal)
        if known is not None:
            if not known.is_logged_in:
                raise lost(target, portal)
            self._set_replacement(known, timeouts.replacement)
            return
        try:
            self._write_record(target, portal, chap, timeouts)
            self._ask("login", target, portal, ["--login"], but=frozenset({SESSION_EXISTS}))
        except BaseException:
            with contextlib.suppress(DrystoneError):
                self._forget(target, portal)
            raise

    def set_replacement(self, target: str, portal: Portal, seconds: int) -> None:
        known = find_session(self.sessions(), check_iqn(target, "target"), portal)
        if known is None:
            raise no_session(target, portal)
        self._set_replacement(known, Timeouts(replacement=seconds).replacement)

    def logout(self, target: str, portal: Portal) -> None:
        known = find_session(self.sessions(), check_iqn(target, "target"), portal)
        if known is not None:
            for disk in known.disks:
                if user := self._find_user(disk, known.is_logged_in):
                    raise in_use(disk, target, user)
            self._start(self._run, self._clock)
            self._end(known)
        self._forget(target, portal)

    def _end(self, session: Session) -> None:
        """By its identifier: its record may be gone, and a later session with the same names is another's.

        What iscsiadm says is not enough: a new iscsid, which takes up the sessions of one that has died, does not know
        all of them yet.
        """
        place = session_class(self._sysfs) / f"session{session.identifier}"
        limit = self._clock.monotonic() + _PATIENCE
        while place.exists():
            outcome = self._run("iscsiadm", ["--mode", "session", "--sid", str(session.identifier), "--logout"])
            if not place.exists():
                return
            if outcome.code not in ENDING or self._clock.monotonic() >= limit:
                code = outcome.code if outcome.code not in NOTHING_FOUND | {0} else NOT_CONNECTED
                raise failure(code, "logout", session.target, session.portal, outcome.last_line())
            self._clock.sleep(_PAUSE)

    def _write_record(self, target: str, portal: Portal, chap: Chap | None, timeouts: Timeouts) -> None:
        """A new record, whatever an earlier one said."""
        self._ask("record", target, portal, ["--op", "new"])
        settings = record_settings(chap, timeouts)
        words = [word for name, value in settings.items() for word in ("--name", name, "--value", value)]
        self._ask("record", target, portal, ["--op", "update", *words])
        if chap is not None:
            write_secret(self._records, target, portal, chap.secret)

    def _forget(self, target: str, portal: Portal) -> None:
        """Remove the record."""
        # For a moment after a logout iscsiadm may still see the session.
        self._ask("record", target, portal, ["--op", "delete"], but=NOTHING_FOUND, again=DISTURBED | {SESSION_EXISTS})

    def _ask(
        self,
        operation: str,
        target: str,
        portal: Portal,
        words: Sequence[str],
        *,
        but: frozenset[int] = frozenset(),
        again: frozenset[int] = DISTURBED,
    ) -> None:
        """iscsiadm on one record.

        :param but: exit codes besides 0 that are no failure. :param again: those for which it is run once more after a
            moment, for a while.
        """
        place = ["--mode", "node", "--targetname", target, "--portal", f"{portal},{GROUP}"]
        limit = self._clock.monotonic() + _PATIENCE
        while True:
            outcome = self._run("iscsiadm", [*place, *words])
            if outcome.code == 0 or outcome.code in but:
                return
            if outcome.code not in again or self._clock.monotonic() >= limit:
                raise failure(outcome.code, operation, target, portal, outcome.last_line())
            self._clock.sleep(_PAUSE)

    def _set_replacement(self, session: Session, seconds: int) -> None:
        if session.replacement == seconds:
            return
        path = session_class(self._sysfs) / f"session{session.identifier}" / "recovery_tmo"
        try:
            path.write_text(str(seconds))
        except OSError as error:
            raise KernelError("set recovery_tmo", error.errno or 0, device=str(path)) from error


def _start(run: Run, clock: Clock) -> None:
    ensure_running(run, clock=clock)


def _find_user(disk: Disk, is_logged_in: bool) -> str:
    """Who has a disk. One without a connection is not opened, which could wait as long as it has none."""
    from drystone.kernel.mounts import mounts_of
    from drystone.kernel.sysfs import holders
    from drystone.kernel.users import user_of

    if is_logged_in:
        return user_of(disk.path, disk.number)
    if mounts_of(disk.number):
        return "mounted"
    try:
        return "part of another device" if holders(disk.number) else ""
    except NotFoundError:
        return ""
