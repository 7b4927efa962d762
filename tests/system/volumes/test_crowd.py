"""A hundred at once make, snapshot, clone and delete volumes while backups run and lists are polled."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from drystone.base.errors import DrystoneError

from .conftest import Host

CROWD = 100


def test_a_hundred_at_once_and_lists_do_not_wait(running: Host) -> None:
    call = running.call
    call("POST", "/volumes/create", {"Name": "big"})
    (Path(call("POST", "/volumes/mount", {"VolumeUUID": "big"})) / "file").write_bytes(os.urandom(48 << 20))
    for number in range(3):
        call("POST", "/snapshots/create", {"VolumeUUID": "big", "Name": f"big-{number}"})
    alone = [_list(running) for _ in range(20)]
    failures: list[BaseException] = []
    ready = threading.Barrier(CROWD + 3)

    def back_up(number: int) -> None:
        ready.wait()
        try:
            call(
                "POST", "/backups/create", {"SnapshotUUID": f"big-{number}", "URL": f"vfs://{running.folder}/b{number}"}
            )
        except DrystoneError as error:
            failures.append(error)

    def work(number: int) -> None:
        name = f"v{number}"
        ready.wait()
        try:
            call("POST", "/volumes/create", {"Name": name})
            call("POST", "/snapshots/create", {"VolumeUUID": name, "Name": f"s{number}"})
            call("POST", "/volumes/clone", {"SnapshotUUID": f"s{number}", "Name": f"c{number}"})
            call("DELETE", "/volumes/", {"VolumeUUID": name})
            call("DELETE", "/volumes/", {"VolumeUUID": f"c{number}"})
        except DrystoneError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CROWD)]
    threads += [threading.Thread(target=back_up, args=(number,)) for number in range(3)]
    for each in threads:
        each.start()
    waits = []
    limit = time.monotonic() + 240
    while any(each.is_alive() for each in threads):
        assert time.monotonic() < limit, "somebody waits for ever"
        waits.append(_list(running))
        time.sleep(0.02)
    assert failures == []
    assert [each["Name"] for each in call("GET", "/volumes/list").values()] == ["big"]
    assert len(list(running.volumes.glob(".*"))) == 1, "nothing half-made is left"
    assert call("POST", "/fsck", {}) == []
    # They take turns with a crowd at one processor, and wait for nobody's mkdir, tar or backup.
    assert sorted(waits)[len(waits) // 2] < max(1.0, 50 * sorted(alone)[len(alone) // 2])


def _list(host: Host) -> float:
    begun = time.monotonic()
    host.call("GET", "/volumes/list")
    return time.monotonic() - begun
