"""Schedules: snapshots and their backups that the daemon makes by itself, and removes when there are enough newer ones.

Only what a schedule made is ever removed by it: its name is on its snapshots (in the catalogue, in the transaction in
which they come to be) and on its backups (in the repository). A snapshot that somebody reads stays until the next run.

Between two looks the monotonic clock counts. The wall clock chooses names and, for lines of cron, the moment; see
schedule.py for what a jump of it does. A run that was missed while no daemon ran is made once, at its start. A run that
fails is repeated after a minute, then two, up to an hour; the snapshot that it took already is used again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

from drystone.backup.collecting.retention import decide
from drystone.base.errors import BusyError, DrystoneError, ExistsError, NotFoundError, UsageError
from drystone.base.names import LONGEST_NAME, check_name, new_uuid
from drystone.volumes.backups import Backups, check_destination
from drystone.volumes.driver import Snapshot
from drystone.volumes.schedule import Schedule, State, Wish, check_cron, next_run, parse_keep, wait_after
from drystone.volumes.schedule_records import ScheduleRecords
from drystone.volumes.service import VolumeService

log = logging.getLogger(__name__)

_RUNS_AT_ONCE = 4
_LONGEST_NAME = LONGEST_NAME - len("-YYYYMMDD-HHMMSS-ffff")
_LONGEST_LOOK_S = 30.0
"""Between two looks: a line of cron is followed within that after a jump of the wall clock."""


@dataclass(frozen=True, slots=True)
class _Taken:
    """A snapshot as the rules of retention look at it."""

    backup: str
    volume: str
    created: str


class Schedules:
    """The schedules of a daemon. `running` makes their runs."""

    def __init__(self, service: VolumeService, backups: Backups) -> None:
        self.records = ScheduleRecords(service.catalogue)
        self._service = service
        self._backups = backups
        self._clock = service.clock
        self._changed = threading.Event()
        self._over = threading.Event()
        self._guard = threading.Lock()
        self._under_way: set[str] = set()
        self._due: dict[str, tuple[str | None, float, datetime]] = {}
        self._held: dict[str, float] = {}

    # What is asked

    def plan(self, reference: str, name: str, wish: Wish) -> Schedule:
        """The schedule that is asked for; nothing is changed.

        :param name: "" for the volume's. :raises DrystoneError: it cannot be.
        """
        volume = self._service.find_volume(reference)
        name = check_name(name or volume.name, "schedule name")
        if len(name) > _LONGEST_NAME:  # of every snapshot it would be said only when it is taken
            raise UsageError(
                f"schedule name {name[:20]!r}... has {len(name)} characters, {_LONGEST_NAME} are allowed",
                hint="name it with --name: its snapshots are called NAME-YYYYMMDD-HHMMSS",
            )
        self.records.check_name(name)
        parse_keep(wish.snapshots)
        if wish.cron:
            check_cron(wish.cron, self._clock.now())
        if wish.url:
            check_destination(wish.url)
            if wish.backups:
                parse_keep(wish.backups)
        return Schedule(uuid=new_uuid(), name=name, volume=volume.uuid, wish=wish)

    def add(self, reference: str, name: str, wish: Wish) -> Schedule:
        """Have a volume followed from now on. :raises ExistsError: the name is taken."""
        schedule = self.plan(reference, name, wish)
        self.records.add(schedule)
        self._changed.set()
        log.info("schedule %s begins", schedule.name)
        return schedule

    def remove(self, name: str) -> None:
        """End a schedule. What it made stays, and is nobody's but its users' from now on."""
        self.records.remove(self.records.find(name))
        log.info("schedule %s is removed", name)

    def pause(self, name: str, *, paused: bool) -> None:
        """Make no runs until it goes on; one that is under way ends."""
        schedule = self.records.find(name)
        self.records.set_paused(schedule, paused=paused)
        with self._guard:
            self._held.pop(schedule.uuid, None)
        self._changed.set()

    def next_of(self, schedule: Schedule) -> datetime | None:
        """When its next run is due by the wall clock; None while it is paused."""
        return None if schedule.state.paused else next_run(schedule, self._clock.now())

    # Runs

    def run(self, schedule: Schedule) -> None:
        """One run: a snapshot, its backup, and what is too old goes. What fails is logged and noted, never raised."""
        try:
            snapshot = self._run(schedule)
            self.records.note(schedule.uuid, last=snapshot.created, done=snapshot.uuid, failures=0, problem="")
        except Exception as error:  # the supervisor of runs: a driver's defect must not end the others
            failures = schedule.state.failures + 1
            wait = wait_after(failures)
            is_ours = isinstance(error, DrystoneError | OSError)
            log.error("schedule %s failed, next try in %d s: %s", schedule.name, wait, error, exc_info=not is_ours)  # noqa: TRY400  # the message is the news, but for a defect
            with self._guard:
                self._held[schedule.uuid] = self._clock.monotonic() + wait
            with contextlib.suppress(DrystoneError):  # where nothing can be noted it is held all the same
                self.records.note(schedule.uuid, failures=failures, problem=str(error) or type(error).__name__)

    def _run(self, schedule: Schedule) -> Snapshot:
        """The snapshot of the run, which is through when this returns; repeated, it goes on with it."""
        wish, service = schedule.wish, self._service
        snapshot = self._find_unfinished(schedule) or self._take(schedule)
        backed_up = schedule.state.backed_up
        if wish.url and backed_up != snapshot.uuid:
            self._backups.create(service, snapshot.uuid, wish.url, wish.endpoint, schedule=schedule.uuid)
            backed_up = snapshot.uuid
            self.records.note(schedule.uuid, backed_up=backed_up)
        if self._find_state(schedule) is None:
            return snapshot  # removed meanwhile: what it made is its users', and stays
        self._thin_out(schedule, kept=backed_up)
        if wish.url and wish.backups:
            policy = parse_keep(wish.backups)
            self._backups.thin_out(wish.url, schedule.volume, schedule.uuid, policy, wish.endpoint)
        return snapshot

    def _find_state(self, schedule: Schedule) -> State | None:
        """As it is now; None: it was removed."""
        return next((each.state for each in self.records.list() if each.uuid == schedule.uuid), None)

    def _own(self, schedule: Schedule) -> list[Snapshot]:
        """In the order in which they were taken, whatever their times say."""
        found = self._service.catalogue.list_snapshots(schedule.volume)
        return [each for each in found if each.schedule == schedule.uuid]

    def _find_unfinished(self, schedule: Schedule) -> Snapshot | None:
        """The snapshot of a run that failed or was killed: the newest, unless it is that of the last good run.

        Its time is looked at, too: that one may have been deleted by hand, and a clock that was wrong makes times that
        say nothing.
        """
        own, state = self._own(schedule), schedule.state
        if not own or own[-1].uuid == state.done:
            return None
        created = datetime.fromisoformat(own[-1].created)
        is_later = not state.last or datetime.fromisoformat(state.last) < created
        return own[-1] if is_later and created <= self._clock.now() else None

    def _take(self, schedule: Schedule) -> Snapshot:
        name = f"{schedule.name}-{self._clock.now().astimezone(UTC):%Y%m%d-%H%M%S}"
        try:
            return self._service.create_snapshot(schedule.volume, name, schedule=schedule.uuid)
        except ExistsError:  # somebody's, or the clock was here before
            return self._service.create_snapshot(schedule.volume, f"{name}-{new_uuid()[:4]}", schedule=schedule.uuid)

    def _thin_out(self, schedule: Schedule, kept: str) -> None:
        """Delete its snapshots that its policy does not keep, but for the one that the next backup builds upon.

        One of the future neither counts nor goes: a clock that was wrong has made it, and newer ones would go for it.
        """
        now = self._clock.now()
        own = [
            _Taken(each.uuid, each.volume, each.created)
            for each in self._own(schedule)
            if datetime.fromisoformat(each.created) <= now
        ]
        for decision in decide(own, parse_keep(schedule.wish.snapshots)):
            if decision.kept or decision.backup.backup == kept:
                continue
            try:
                self._service.delete_snapshot(decision.backup.backup)
            except BusyError as error:
                log.info("schedule %s leaves a snapshot for its next run: %s", schedule.name, error)
            except NotFoundError:
                pass  # somebody was faster

    # When

    def look(self) -> tuple[list[Schedule], float]:
        """The schedules that are due now, and the seconds until the next look."""
        now, moment = self._clock.now(), self._clock.monotonic()
        due: list[Schedule] = []
        wait = _LONGEST_LOOK_S
        with self._guard:
            schedules = [each for each in self.records.list() if not each.state.paused]
            there = {each.uuid for each in schedules}
            self._due = {uuid: due for uuid, due in self._due.items() if uuid in there}
            self._held = {uuid: held for uuid, held in self._held.items() if uuid in there}
            for each in schedules:
                if each.uuid in self._under_way:
                    continue
                left = self._left(each, now, moment)
                if left <= 0:
                    due.append(each)
                else:
                    wait = min(wait, left)
            self._under_way |= {each.uuid for each in due}  # not before all were looked at: no look fails halfway
        return due, wait

    def _left(self, schedule: Schedule, now: datetime, moment: float) -> float:
        """Seconds until it is due; it is, at 0 and below."""
        held = self._held.get(schedule.uuid, moment) - moment
        due = next_run(schedule, now)
        last, at, known = self._due.get(schedule.uuid, (None, 0.0, due))
        if last != schedule.state.last:  # seen for the first time since its last run
            at, known = moment + (due - now).total_seconds(), due
        known = min(known, due)
        self._due[schedule.uuid] = schedule.state.last, at, known
        left = (known - now).total_seconds() if schedule.wish.cron else at - moment
        return max(held, left)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Make runs in threads until the block ends; those under way are waited for."""
        workers = ThreadPoolExecutor(_RUNS_AT_ONCE, "schedule")
        thread = threading.Thread(target=self._follow, args=(workers,), name="schedules", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._changed.set()
            thread.join()
            workers.shutdown(cancel_futures=True)

    def _follow(self, workers: ThreadPoolExecutor) -> None:
        problem = ""
        while not self._over.is_set():
            self._changed.clear()
            try:
                due, wait = self.look()
                problem = ""
            except Exception as error:  # the supervisor of looks: no schedule would be followed any more
                text = str(error) or type(error).__name__
                if text != problem:  # once as long as it goes on
                    is_ours = isinstance(error, DrystoneError | OSError)
                    log.error("the schedules cannot be looked at: %s", text, exc_info=not is_ours)  # noqa: TRY400  # the message is the news, but for a defect
                problem, due, wait = text, [], _LONGEST_LOOK_S
            for each in due:
                workers.submit(self._run_and_forget, each)
            self._changed.wait(wait)

    def _run_and_forget(self, schedule: Schedule) -> None:
        try:
            state = self._find_state(schedule)
            if state is not None and not state.paused:  # it may have waited long for its turn
                self.run(schedule)
        finally:
            with self._guard:
                self._under_way.discard(schedule.uuid)
            self._changed.set()
