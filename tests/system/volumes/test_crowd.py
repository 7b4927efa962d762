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
    failures: list[BaseException] = []
    done: list[str] = []
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
        steps = (
            ("POST", "/volumes/create", {"Name": name}),
            ("POST", "/snapshots/create", {"VolumeUUID": name, "Name": f"s{number}"}),
            ("POST", "/volumes/clone", {"SnapshotUUID": f"s{number}", "Name": f"c{number}"}),
            ("DELETE", "/volumes/", {"VolumeUUID": name}),
            ("DELETE", "/volumes/", {"VolumeUUID": f"c{number}"}),
        )
        try:
            for method, route, body in steps:
                call(method, route, body)
                done.append(name)
        except DrystoneError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(CROWD)]
    threads += [threading.Thread(target=back_up, args=(number,)) for number in range(3)]
    for each in threads:
        each.start()
    during = []
    limit = time.monotonic() + 240
    while any(each.is_alive() for each in threads):
        assert time.monotonic() < limit, "somebody waits for ever"
        before = len(done)
        call("GET", "/volumes/list")
        during.append(len(done) - before)
        time.sleep(0.02)
    assert failures == []
    assert [each["Name"] for each in call("GET", "/volumes/list").values()] == ["big"]
    assert len(list(running.volumes.glob(".*"))) == 1, "nothing half-made is left"
    assert call("POST", "/fsck", {}) == []
    # A list that waited for what others do would see much of it done meanwhile; time itself says nothing here.
    assert len(done) == 5 * CROWD
    assert sorted(during)[len(during) // 2] < CROWD // 4, during
