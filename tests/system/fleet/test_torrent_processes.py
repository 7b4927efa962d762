"""Torrents between real processes: one that leads and seeds is killed, and its copy is replaced by a torrent."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from drystone.fleet.documents import Placement
from drystone.testing.fleet.bodies import PIECE, make_bytes
from drystone.testing.fleet.processes import FleetProcesses, Server, wait_until

pytest.importorskip("libtorrent", reason="libtorrent has no wheel for this Python")

HOST = "host1"
DATA = make_bytes(7 * PIECE + 77, 9)


def ask(server: Server, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
    answer = httpx.request(method, server.url + path, content=body, timeout=60.0, trust_env=False)
    return answer.status_code, answer.text


def placement_of(fleet: FleetProcesses) -> Placement:
    (found,) = (each for each in fleet.map().placements if each.host == HOST)
    return found


def test_a_killed_seeder_is_replaced_by_a_torrent_of_the_other_ones(tmp_path: Path) -> None:
    words = ("--torrents", "127.0.0.1:0", "--copy-rate", "0")
    with FleetProcesses(tmp_path, servers=3, disks=1, storage_words=words, relays=False) as fleet:
        fleet.start()
        first = fleet.storage[0]
        assert ask(first, "POST", f"/api/zbase/{HOST}/dump", DATA) == (200, "Saved file to disk")
        placement = placement_of(fleet)
        holders = [each for each in fleet.storage if placement.member(each.name) is not None]
        (third,) = (each for each in fleet.storage if each not in holders)
        lines = {ask(each, "GET", f"/api?action=create_torrent&host_name={HOST}") for each in holders}
        ((status, line),) = lines  # both say the same: it is one swarm
        assert (status, line.rstrip("\n").endswith(f" {HOST}/dump")) == (200, True)
        (leader,) = (each for each in holders if each.name == placement.leader)
        leader.kill()

        def is_copied() -> bool:
            member = placement_of(fleet).member(third.name)
            return member is not None and member.state == "in_sync"

        wait_until("the third server has a copy", is_copied)
        (path,) = (tmp_path / third.name).glob(f"data_*/*/{HOST}/dump")
        assert path.read_bytes() == DATA
        assert f"'{HOST}/dump' came by a torrent\n" in (tmp_path / f"{third.name}.log").read_text()
        leader.start()
        wait_until("all is protected", fleet.is_protected)
        assert list((tmp_path / leader.name).glob("data_*/.drystone/temp/*")) == [], "what it seeded is cleared away"
        wait_until("it serves", lambda: ask(leader, "GET", f"/api/zbase/{HOST}/dump")[0] == 200)
        assert [each.stop() for each in fleet.storage] == [0, 0, 0]
