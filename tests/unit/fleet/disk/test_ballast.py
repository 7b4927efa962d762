from __future__ import annotations

from pathlib import Path

from drystone.fleet.disk import ballast
from drystone.fleet.disk.ballast import Ballast
from drystone.fleet.disk.identity import initialize
from drystone.testing.fleet.disk_world import FLEET, make_disk


def test_room_is_kept_and_given_up(tmp_path: Path) -> None:
    initialize(tmp_path, FLEET)
    kept = Ballast(tmp_path)
    assert not kept.let_go()
    kept.keep()
    path = tmp_path / ".drystone/ballast"
    assert path.stat().st_blocks * 512 >= ballast.SIZE
    Ballast(tmp_path).keep()
    assert kept.let_go()
    assert not path.exists()
    kept.keep()
    assert path.exists()


def test_no_room_no_ballast(tmp_path: Path) -> None:
    Ballast(tmp_path / "nothing").keep()
    disk = make_disk(tmp_path / "d")
    disk.close()
    assert not (tmp_path / "d/.drystone/ballast").exists(), "tests keep no reserve"
