"""Care of pools and volumes on a real kernel: a daemon on loop devices that grow under it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from drystone.base.errors import ExhaustedError, RefusedError

from .conftest import Host, run

pytestmark = pytest.mark.lab(memory="768M")

POOL = "convoy-pool"


def enlarge(device: str, file: Path, size: str) -> None:
    run("truncate", "-s", size, str(file))
    run("losetup", "-c", device)


def test_a_pool_that_fills_is_extended_in_use(host: Host) -> None:
    small = Host(host.folder, data="48M", metadata="2M")
    try:
        small.start()
        small.call("POST", "/volumes/create", {"Name": "db", "Size": 96 << 20})
        place = Path(small.call("POST", "/volumes/mount", {"VolumeUUID": "db"}))
        (place / "file").write_bytes(os.urandom(46 << 20))
        run("sync")
        (pool,) = small.call("GET", "/pools")
        assert pool["state"] == "full", pool
        with pytest.raises(ExhaustedError, match="pool convoy-pool is full"):
            small.call("POST", "/snapshots/create", {"VolumeUUID": "db"})
        with pytest.raises(RefusedError, match="as large as its devices"):
            small.call("POST", "/pools/extend", {})
        enlarge(small.data, small.folder / "data.vol", "96M")
        enlarge(small.metadata, small.folder / "metadata.vol", "4M")
        (shown,) = small.call("POST", "/pools/extend", {"DryRun": True})
        assert shown["program"] is not None
        assert small.call("GET", "/pools")[0]["data_total"] == 48 << 20
        growth = small.call("POST", "/pools/extend", {})
        assert (growth["data_before"], growth["data_after"]) == (48 << 20, 96 << 20)
        assert (growth["metadata_before"], growth["metadata_after"]) == (2 << 20, 4 << 20)
        (pool,) = small.call("GET", "/pools")
        assert (pool["state"], pool["data_total"], pool["metadata_total"]) == ("ok", 96 << 20, 4 << 20)
        small.call("POST", "/snapshots/create", {"VolumeUUID": "db", "Name": "monday"})
        (place / "more").write_bytes(os.urandom(8 << 20))
        run("sync")
        small.stop()
        small.take_down()
        small.start()
        assert small.call("GET", "/pools")[0]["data_total"] == 96 << 20
        assert (place / "more").stat().st_size == 8 << 20
        assert "pool convoy-pool is full" in small.log.read_text()
    finally:
        small.close()
