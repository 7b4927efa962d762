"""What runs inside the guests of a cluster under test: questions to the API, and what a host really has.

python -m drystone.testing.cluster.within events DATABASE     a JSON line for each new event, once it is recorded
python -m drystone.testing.cluster.within hold DATABASE SECS  nobody else gets at the (SQLite) database for so long
"""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from drystone.base.errors import DrystoneError
from drystone.cluster.agents.answers import LegsSeen, VolumeSeen
from drystone.cluster.agents.client import AgentClient
from drystone.cluster.agents.slices import Slices
from drystone.cluster.agents.swap import without_sync
from drystone.cluster.connection import ClientTls, Connection, trusting
from drystone.cluster.model.in_sync import standing
from drystone.cluster.model.tables import leg_path
from drystone.cluster.monitor.view import View, legs_wishes, load_view, volume_wish_of
from drystone.cluster.state.database import Database
from drystone.dvm.state import State
from drystone.kernel.blockdev import device_path
from drystone.kernel.dm.device_mapper import KernelDeviceMapper
from drystone.kernel.iscsi.initiator import OpenIscsi
from drystone.kernel.lio.configfs import ConfigfsLio

_NUMBER = re.compile(r"[0-9]+:[0-9]+|/dev/drystone/log/[^ ]+")
_EVENTS = "SELECT number, what, kind, subject FROM events WHERE number > ? ORDER BY number"
_LOOK = 0.02
"""Seconds between two looks for events."""


def ask(
    url: str, authority: str, token: str, method: str, path: str, body: object = None, key: str = ""
) -> tuple[int, Any]:
    """Ask the API; status and document of its answer, 0 and the reason when there is none."""
    connection = Connection("the API", url, tls=trusting(Path(authority)), token=token, seconds=20)
    data = None if body is None else json.dumps(body).encode()
    try:
        status, answer = connection.send(method, f"/v1{path}", data, {"Idempotency-Key": key} if key else None)
    except DrystoneError as error:
        return 0, error.message
    return status, json.loads(answer) if answer else None


def left(disk: str) -> list[str]:
    """What this guest has of volumes: devices, what it exports, sessions, legs on its disk ("" for none)."""
    lio = ConfigfsLio()
    with KernelDeviceMapper() as dm:
        return [
            *(f"device {each.name}" for each in dm.list_devices()),
            *(f"target {each}" for each in lio.targets()),
            *(f"backstore {each.name}" for each in lio.backstores()),
            *(f"session {each.target}" for each in OpenIscsi().sessions()),
            *(f"leg {each.leg}" for each in (Slices(disk).read().slices if disk else ())),
        ]


def copy_leg(leg: str, place: str) -> None:
    """The bytes of a leg of this dpv into a file."""
    with KernelDeviceMapper() as dm:
        path = device_path(dm.info(f"drystone-leg-{leg}").number)
    with Path(path).open("rb") as source, Path(place).open("wb") as made:
        while data := source.read(1 << 20):
            made.write(data)


def differences(database: str, folder: str, name: str) -> list[str]:
    """Where the agents' kernels have something else of a dlv than is recorded. :param folder: with certificates."""
    held = Database(database)
    held.open()
    try:
        view = held.read(lambda connection: load_view(connection, name))
    finally:
        held.close()
    if view is None:
        return [f"there is no dlv {name}"]
    tls = ClientTls(Path(folder, "monitor1.pem"), Path(folder, "monitor1.key"), Path(folder, "authority.pem"))
    return [*_differing_dpvs(view, tls), *_differing_ihost(view, tls)]


def _differing_dpvs(view: View, tls: ClientTls) -> list[str]:
    found = []
    for name, wish in legs_wishes(view).items():
        if view.dpvs[name].status == "unavailable":  # what it has is given up when it is back
            continue
        seen = AgentClient(view.dpvs[name].address, tls=tls).look(view.dlv.id, LegsSeen)
        wanted = {(each.leg, each.size, True, True, each.initiators) for each in wish.exports}
        there = {(each.leg, each.size, each.is_ready, each.exported, each.initiators) for each in seen.legs}
        if wanted != there or seen.epoch != wish.epoch:
            found.append(f"dpv {name} has {sorted(there)} in epoch {seen.epoch}, recorded is {sorted(wanted)}")
    return found


def _differing_ihost(view: View, tls: ClientTls) -> list[str]:
    if view.ihost is None or view.dlv.attachment is None:
        return []
    seen = AgentClient(view.ihost.address, tls=tls).look(view.dlv.id, VolumeSeen)
    wish = volume_wish_of(view, standing(view.dlv))
    numbers = {each.number: leg_path(each.leg) for each in seen.disks}
    wanted, there = _spell(wish.state, numbers), _spell(seen.state, numbers)
    return [
        f"ihost {view.ihost.name}: {device} is {there.get(device, 'not there')}, recorded is {wanted.get(device, '')}"
        for device in sorted({*wanted, *there})
        if wanted.get(device) != there.get(device)
    ]


def _spell(state: State, legs: Mapping[str, str]) -> dict[str, str]:
    """The table of each device, with legs by their ids, and every log as `LOG`."""
    return {
        device.name: "; ".join(
            f"{line.start} {line.length} {line.target} "
            + _NUMBER.sub(lambda found: legs.get(found[0], "LOG"), line.params)
            for line in device.table
        )
        for device in without_sync(state).devices
    }


def print_events(database: str) -> None:
    """Each new one, until standard output is closed."""
    last, place = -1, f"file:{database}?mode=ro"
    while True:
        with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(place, uri=True)) as held:
            if last < 0:
                last = held.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()[0]
            for row in held.execute(_EVENTS, [last]):
                last = row[0]
                print(json.dumps(row), flush=True)  # noqa: T201 - this is its output
        time.sleep(_LOOK)


def hold(database: str, seconds: float) -> None:
    """Have the database to ourselves."""
    with contextlib.closing(sqlite3.connect(database, timeout=60, isolation_level=None)) as held:
        held.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)
        held.execute("ROLLBACK")


if __name__ == "__main__":
    if sys.argv[1] == "events":
        print_events(sys.argv[2])
    else:
        hold(sys.argv[2], float(sys.argv[3]))
