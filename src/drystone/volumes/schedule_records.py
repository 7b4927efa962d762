"""Where schedules are written down: the daemon's catalogue. Each change is durable when it returns."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import msgspec

from drystone.base.documents import decode, encode
from drystone.base.errors import ExistsError, NotFoundError
from drystone.volumes.catalogue import Catalogue
from drystone.volumes.queries import named
from drystone.volumes.schedule import Schedule, State, Wish


@dataclass(frozen=True, slots=True)
class ScheduleRecords:
    """The schedules of a catalogue. One goes with its volume."""

    catalogue: Catalogue

    def list(self) -> list[Schedule]:
        """Oldest first."""
        return [_schedule(row) for row in self.catalogue.read("list_schedules")]

    def find(self, name: str) -> Schedule:
        """By name. :raises NotFoundError: there is none."""
        for each in self.list():
            if each.name == name:
                return each
        raise NotFoundError(f"there is no schedule {name!r}", hint="drystone volume schedule list")

    def check_name(self, name: str) -> None:
        """:raises ExistsError: it is taken."""
        if any(each.name == name for each in self.list()):
            raise ExistsError(f"there is a schedule {name!r} already", hint="name another with --name, or remove it")

    def add(self, schedule: Schedule) -> None:
        """:raises ExistsError: the name is taken."""
        with self.catalogue.change() as connection:
            self.check_name(schedule.name)
            row = {"uuid": schedule.uuid, "name": schedule.name, "volume": schedule.volume}
            row |= {"wish": encode(schedule.wish).decode(), "state": encode(schedule.state).decode()}
            connection.execute(named()["insert_schedule"], row)
            self.catalogue.note(connection, "schedule-add", schedule.name, schedule.uuid)

    def remove(self, schedule: Schedule) -> None:
        """Its snapshots stay."""
        with self.catalogue.change() as connection:
            connection.execute(named()["delete_schedule"], {"uuid": schedule.uuid})
            self.catalogue.note(connection, "schedule-remove", schedule.name, schedule.uuid)

    def set_paused(self, schedule: Schedule, *, paused: bool) -> None:
        """No runs, or runs again; failures are forgotten."""
        with self.catalogue.change() as connection:
            self._set(connection, schedule.uuid, paused=paused, failures=0, problem="")
            action = "schedule-pause" if paused else "schedule-resume"
            self.catalogue.note(connection, action, schedule.name, schedule.uuid)

    def note(self, uuid: str, **changes: object) -> None:
        """Change fields of a schedule's state; nothing when it is gone."""
        with self.catalogue.change() as connection:
            self._set(connection, uuid, **changes)

    def _set(self, connection: sqlite3.Connection, uuid: str, **changes: object) -> None:
        for each in self.list():
            if each.uuid == uuid:
                state = msgspec.structs.replace(each.state, **changes)
                connection.execute(named()["set_schedule"], {"uuid": uuid, "state": encode(state).decode()})


def _schedule(row: tuple[object, ...]) -> Schedule:
    uuid, name, volume, wish, state = (str(each) for each in row)
    what = f"schedule {name}"
    return Schedule(
        uuid=uuid,
        name=name,
        volume=volume,
        wish=decode(wish, Wish, what),
        state=decode(state, State, what),
    )
