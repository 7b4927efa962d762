"""Disks that hang or fail do not keep a server from ending."""

from __future__ import annotations

import asyncio
from pathlib import Path

from drystone.fleet.storage.shelf import Shelf


def test_a_disk_that_hangs_does_not_keep_the_others_from_being_closed(tmp_path: Path) -> None:
    async def run() -> None:
        for name in ("data_1", "data_2"):
            (tmp_path / name).mkdir()
        shelf = Shelf(tmp_path, tmp_path / "state")
        shelf.find_folders()
        assert await shelf.open("fleet")
        first, second = shelf.bays.values()
        hung, good = first.disk, second.disk
        assert hung is not None
        assert good is not None
        first.hangs = True
        await shelf.close()
        assert good.report().health == "missing", "it is closed"
        hung.close()

    asyncio.run(run())
