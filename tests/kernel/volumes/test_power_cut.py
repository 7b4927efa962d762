"""A power cut in the middle of work: the disks lose what was not flushed, and nothing that was answered is lost.

Pool, metadata and the daemon's root are on disks of the lab, whose unflushed writes are gone after a kill.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from drystone.base.errors import DrystoneError
from drystone.lab.lab import Lab
from drystone.lab.python import Python
from drystone.testing.volume_daemon import VolumeDaemon

DATA, METADATA, ROOT = "/dev/lab/disk0", "/dev/lab/disk1", "/dev/lab/disk2"


# These run in the guest.


def start(fresh: bool) -> None:
    """Bring the daemon up on the disks."""
    if fresh:
        subprocess.run(["mkfs.ext4", "-q", ROOT], check=True)
    subprocess.run(["mkdir", "-p", "/srv/host"], check=True)
    subprocess.run(["mount", ROOT, "/srv/host"], check=True)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # bytecode halves a start, and is gone with the guest
    daemon().start()


def daemon() -> VolumeDaemon:
    """The daemon of this guest."""
    words = {"datadev": DATA, "metadatadev": METADATA, "thinpoolblocksize": "128", "defaultvolumesize": "8M"}
    options = [f"--driver-opts=dm.{key}={value}" for key, value in words.items()]
    folder = Path("/srv/host")
    return VolumeDaemon(folder / "root", Path("/tmp/s"), Path("/tmp/log"), ["--drivers", "devicemapper", *options])


def work_once(number: int) -> None:
    """A volume with a file in it and a snapshot; all of it answered, the file synced."""
    call = daemon().call
    call("POST", "/volumes/create", {"Name": f"volume{number}"})
    place = Path(call("POST", "/volumes/mount", {"VolumeUUID": f"volume{number}"}))
    with (place / "file").open("wb") as file:
        file.write(f"content {number}".encode() * 1000)
        file.flush()
        os.fsync(file.fileno())
    handle = os.open(place, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)
    call("POST", "/snapshots/create", {"VolumeUUID": f"volume{number}", "Name": f"snapshot{number}"})


def work_on() -> None:
    """Make and delete things until the power goes."""
    call = daemon().call
    for number in range(1000):
        call("POST", "/volumes/create", {"Name": f"passing{number}"})
        call("POST", "/snapshots/create", {"VolumeUUID": f"passing{number}", "Name": f"moment{number}"})
        call("DELETE", "/volumes/", {"VolumeUUID": f"passing{number}"})


def look() -> tuple[list[str], list[str], list[str], list[str], list[str]]:
    """Names of volumes and snapshots, what is in the files, devices that are there, and those that should be."""
    listed = daemon().call("GET", "/volumes/list").values()
    names = [each["Name"] for each in listed if each["Name"].startswith("volume")]
    snapshots = [each["Name"] for volume in listed for each in volume["Snapshots"].values()]
    files = [(Path(each["MountPoint"]) / "file").read_text()[:9] for each in listed if each["MountPoint"]]
    shown = subprocess.run(["dmsetup", "ls"], check=True, capture_output=True, text=True).stdout
    devices = sorted(line.split()[0] for line in shown.splitlines())
    wanted = sorted(["convoy-pool", *(f"convoy-pool-{each['UUID']}" for each in listed)])
    return names, [each for each in snapshots if each.startswith("snapshot")], files, devices, wanted


# This runs here.


def cut_the_power_during(python: Python, guest_kill: Callable[[], None], seconds: float) -> None:
    """Kill the guest while it works."""

    def ask() -> None:
        with contextlib.suppress(DrystoneError):
            python.call(work_on)

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(seconds)
    guest_kill()
    asking.join()


def test_what_was_answered_is_there_after_every_power_cut(lab_factory: Callable[..., Lab]) -> None:
    lab = lab_factory(disks=[96 << 20, 8 << 20, 64 << 20], memory=512 << 20)
    (guest,) = lab.guests
    for number, seconds in enumerate((0.4, 1.1, 2.3)):
        with guest.python() as python:
            python.call(start, number == 0)
            names, snapshots, files, devices, wanted = python.call(look)
            assert names == [f"volume{each}" for each in range(number)]
            assert snapshots == [f"snapshot{each}" for each in range(number)]
            assert files == [f"content {each}" for each in range(number)]
            assert devices == wanted
            python.call(work_once, number)
            cut_the_power_during(python, guest.kill, seconds)
        guest.boot()
    with guest.python() as python:
        python.call(start, False)
        names, snapshots, files, devices, wanted = python.call(look)
        assert (len(names), len(snapshots), len(files)) == (3, 3, 3)
        assert devices == wanted
