"""Copies by BitTorrent between real storage servers: what comes is compared with our own sums, whoever sent it."""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.parse
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from drystone.base.errors import BusyError, ExhaustedError, UnavailableError
from drystone.fleet.calls import Answer, Calls
from drystone.fleet.disk.incoming import Incoming
from drystone.fleet.documents import Placement
from drystone.fleet.orders import DiskOrder
from drystone.fleet.storage import legacy_torrents
from drystone.fleet.storage.server import Running
from drystone.fleet.storage.torrents import seeding
from drystone.fleet.storage.torrents.engine import open_engine
from drystone.fleet.storage.torrents.exchange import Exchange
from drystone.fleet.storage.torrents.messages import FindTorrent
from drystone.fleet.storage.torrents.metainfo import Hashing, Metainfo, is_urn
from drystone.fleet.storage.torrents.seeding import Seeds
from drystone.testing.fleet.bodies import PIECE, digest_of, make_bytes
from drystone.testing.fleet.lying_seeder import LyingSeeder
from drystone.testing.fleet.servers import SECRET, FleetServers

pytest.importorskip("libtorrent", reason="libtorrent has no wheel for this Python")

NAMESPACE, HOST = "zbase", "host1"
SIZE = 5 * PIECE + 12345
DATA = make_bytes(SIZE, 7)
SHORT = 15.0
"""Seconds: where nothing more is to come, so that it does not matter when that is noticed."""
HELD = (SIZE // PIECE + 1) * 2
"""Blocks that are not all of the file."""


@dataclass
class Trio:
    """A fleet of three servers, of which two hold the host with one file."""

    fleet: FleetServers
    calls: Calls

    @property
    def placement(self) -> Placement:
        found = self.fleet.server("s1").standings.atlas.find(NAMESPACE, HOST)
        assert found is not None
        return found

    @property
    def leader(self) -> Running:
        return self.fleet.server(self.placement.leader)

    @property
    def follower(self) -> Running:
        (name,) = {each.server for each in self.placement.members} - {self.placement.leader}
        return self.fleet.server(name)

    @property
    def third(self) -> Running:
        (name,) = {"s1", "s2", "s3"} - {each.server for each in self.placement.members}
        return self.fleet.server(name)

    async def act(self, server: Running, action: str, **query: str) -> tuple[int, str]:
        words = urllib.parse.urlencode({"action": action, "host_name": HOST, **query})
        answer = await self.calls.call("GET", f"{server.url}/api?{words}", seconds=60.0)
        return answer.status, answer.body.decode()

    async def post(self, path: str, data: bytes) -> Answer:
        url = f"{self.fleet.server('s1').url}/api/{NAMESPACE}/{HOST}/{path}"
        return await self.calls.call("POST", url, data, seconds=60.0)

    async def move(self, data: bytes = DATA) -> Running:
        """Have the follower's copy made anew on the third server; which is that. Its file is `data` then."""
        follower, third = self.follower.standings.server, self.third
        order = DiskOrder(follower, "", "draining")
        answer = await self.calls.call(
            "POST", f"{self.fleet.mapper_url}/internal/disks", msgspec.json.encode(order), seconds=60.0
        )
        assert answer.status == 204, answer.body
        id_ = third.standings.server

        def is_copied() -> bool:
            own = self.placement.member(id_)
            return own is not None and own.state == "in_sync"

        await self.fleet.wait_for(is_copied)
        (path,) = self.fleet.folder.glob(f"{id_}/data_*/*/{HOST}/dump")
        assert path.read_bytes() == data
        return third


def exchange_of(server: Running) -> Exchange:
    assert server.torrents is not None
    return server.torrents


def seeds_of(server: Running) -> Seeds:
    return exchange_of(server).seeds


def counted(server: Running) -> tuple[int, int]:
    downloads = exchange_of(server).downloads
    return downloads.received, downloads.refused


def left_over(folder: Path) -> list[Path]:
    return list(folder.glob("s*/data_*/.drystone/temp/*"))


def run_trio(
    folder: Path, action: Callable[[Trio], Awaitable[None]], *, torrents: bool = True, still: float = 120.0
) -> None:
    """:param still: seconds without a byte after which servers give a torrent up."""

    async def run() -> None:
        async with FleetServers(folder, servers=3, torrents=torrents) as fleet, Calls(SECRET) as calls:
            trio = Trio(fleet, calls)
            assert (await trio.post("dump", DATA)).status == 200
            for each in ("s1", "s2", "s3") if torrents else ():
                exchange_of(fleet.server(each)).downloads._engine.still_seconds = still
            await fleet.wait_for(lambda: fleet.server("s1").standings.atlas.find(NAMESPACE, HOST) is not None)
            await action(trio)

    asyncio.run(run())
    assert left_over(folder) == [], "no file of a torrent is left"


def test_a_copy_comes_by_a_torrent(tmp_path: Path) -> None:
    async def check(trio: Trio) -> None:
        status, text = await trio.act(trio.leader, "create_torrent", file_name="dump")
        urn, _, key = text.rstrip("\n").partition(" ")
        assert (status, is_urn(urn), key) == (200, True, f"{HOST}/dump")
        assert await trio.act(trio.leader, "create_torrent") == (200, text), "all of the host is this file"
        third = await trio.move()
        assert counted(third) == (SIZE, 0)
        assert await trio.act(third, "start_download", file_name="dump", torrent=urn) == (200, "Host copied")
        assert [len(seeds_of(each)._seeds) for each in (trio.leader, third)] == [1, 0]

    run_trio(tmp_path, check)


def test_what_is_asked_wrongly_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(trio: Trio) -> None:
        leader = trio.leader
        assert (await trio.post("small", b"x" * 1000)).status == 200
        assert await trio.act(leader, "create_torrent", file_name="none") == (404, "File not found.")
        small = await trio.act(leader, "create_torrent", file_name="small")
        assert small == (400, "Files of less than 1 MiB are copied by HTTP.")
        monkeypatch.setattr(legacy_torrents, "MOST", 0)
        status, text = await trio.act(leader, "create_torrent")
        assert (status, "more than 0 large files" in text) == (503, True)
        assert seeds_of(leader)._seeds == {}
        for action in ("create_torrent", "start_download"):
            assert await trio.act(leader, action, host_name="nobody") == (400, "Invalid arguments.")
            assert await trio.act(trio.third, action) == (400, "Invalid arguments."), "it has no copy"

    run_trio(tmp_path, check)


def test_a_server_without_torrents_copies_by_http(tmp_path: Path) -> None:
    async def check(trio: Trio) -> None:
        assert await trio.act(trio.leader, "create_torrent", file_name="dump") == (200, "Host copied")
        third = await trio.move()
        assert third.torrents is None

    run_trio(tmp_path, check, torrents=False)


def test_start_download_goes_on_with_a_copy(tmp_path: Path) -> None:
    """While the copy is made: a torrent that is seeded is known, another is not; and it is complete in the end."""

    async def check(trio: Trio) -> None:
        urn = (await trio.act(trio.leader, "create_torrent"))[1].partition(" ")[0]
        held = asyncio.Event()
        async with LyingSeeder(seeds_of(trio.leader).address, wait=held) as relay:
            seeds_of(trio.leader).address = relay.address
            third = trio.third
            moving = asyncio.create_task(trio.move())
            await trio.fleet.wait_for(lambda: any(each.bay for each in third.standings.own()))
            other = urn[:-1] + ("0" if urn[-1] != "0" else "1")
            query = {"file_name": "dump"}
            assert await trio.act(third, "start_download", **query, torrent=other) == (404, "Torrent not found.")
            assert (await trio.act(third, "start_download", **query, torrent="x"))[0] == 400
            assert (await trio.act(third, "start_download", torrent=urn))[0] == 400, "of which file?"
            assert await trio.act(third, "start_download", **query, torrent=urn) == (202, "Download started")
            assert await trio.act(third, "start_download") == (202, "Download started")
            status, text = await trio.act(third, "create_torrent")
            assert (status, "is being copied" in text) == (503, True), "only what is whole is seeded"
            held.set()
            await moving
            assert sum(counted(third)) == SIZE

    run_trio(tmp_path, check)


def test_a_lying_seeder_is_refused_and_another_asked(tmp_path: Path) -> None:
    async def check(trio: Trio) -> None:
        for each in (trio.leader, trio.follower):
            assert (await trio.act(each, "create_torrent"))[0] == 200
        async with contextlib.AsyncExitStack() as stack:
            liar = await stack.enter_async_context(LyingSeeder(seeds_of(trio.leader).address, flip=True))
            honest = LyingSeeder(seeds_of(trio.follower).address, wait=liar.flipped)
            await stack.enter_async_context(honest)  # says nothing before the liar has lied
            seeds_of(trio.leader).address = liar.address
            seeds_of(trio.follower).address = honest.address
            third = await trio.move()
            assert liar.flipped.is_set()
            assert counted(third) == (SIZE, 0)

    run_trio(tmp_path, check)


def test_when_all_seeders_lie_it_comes_by_http(tmp_path: Path) -> None:
    async def check(trio: Trio) -> None:
        await trio.act(trio.leader, "create_torrent")
        async with LyingSeeder(seeds_of(trio.leader).address, flip=True) as liar:
            seeds_of(trio.leader).address = liar.address
            third = await trio.move()
            assert liar.flipped.is_set()
            assert counted(third) == (0, SIZE)

    run_trio(tmp_path, check, still=SHORT)


def test_when_a_seeder_goes_away_the_rest_comes_by_http(tmp_path: Path) -> None:
    async def check(trio: Trio) -> None:
        await trio.act(trio.leader, "create_torrent")
        async with LyingSeeder(seeds_of(trio.leader).address, after=HELD) as relay:
            seeds_of(trio.leader).address = relay.address
            third = await trio.move()
            assert relay.gone.is_set()
            received, refused = counted(third)
            assert refused > 0
            assert received + refused == SIZE

    run_trio(tmp_path, check, still=SHORT)


def test_when_nobody_is_there_any_more_it_comes_by_http(tmp_path: Path) -> None:
    async def check(trio: Trio) -> None:
        await trio.act(trio.leader, "create_torrent")
        async with LyingSeeder(seeds_of(trio.leader).address) as relay:
            seeds_of(trio.leader).address = relay.address
        third = await trio.move()
        assert counted(third) == (0, SIZE)

    run_trio(tmp_path, check, still=3.0)


def test_a_torrent_of_other_bytes_is_refused_by_our_own_sums(tmp_path: Path) -> None:
    """Its hashes fit what is sent, so BitTorrent finds nothing wrong: one MiB is another than the leader's digest."""

    async def check(trio: Trio) -> None:
        await trio.act(trio.leader, "create_torrent")
        seeds = seeds_of(trio.leader)
        seed = seeds._seeds[digest_of(DATA)]
        other = bytearray(DATA)
        other[PIECE + 5] ^= 1
        path = seed.disk.root / seed.body.place
        path.write_bytes(other)
        hashing = Hashing(SIZE)
        for begin in range(0, SIZE, PIECE):
            hashing.add(bytes(other[begin : begin + PIECE]))
        await seeds._engine.remove(seed.torrent)
        seed.metainfo = hashing.finish()
        seed.torrent = await seeds._engine.seed(seed.metainfo, path)
        third = await trio.move()
        assert counted(third) == (SIZE - PIECE, PIECE)

    run_trio(tmp_path, check)


def test_a_torrent_for_which_there_is_no_room_stops_no_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(trio: Trio) -> None:
        await trio.act(trio.leader, "create_torrent")
        asked: list[object] = []

        async def bring(*arguments: object) -> Incoming:
            asked.append(arguments)
            raise ExhaustedError("the disk is full")

        monkeypatch.setattr(exchange_of(trio.third).downloads, "bring", bring)
        assert counted(await trio.move()) == (0, 0)
        assert asked

    run_trio(tmp_path, check)


def test_what_nobody_asks_for_is_let_go(tmp_path: Path) -> None:
    async def check(trio: Trio) -> None:
        seeds = seeds_of(trio.leader)
        now = time.monotonic()
        seeds._now = lambda: now
        await trio.act(trio.leader, "create_torrent")
        now += 80_000.0
        await seeds.let_go()
        assert await seeds.offer(FindTorrent(digest_of(DATA), "127.0.0.1:1")) is not None, "within the day"
        now += 80_000.0
        await seeds.let_go()
        assert len(seeds._seeds) == 1, "a day after it was asked for last"
        now += 90_000.0
        await seeds.let_go()
        assert seeds._seeds == {}
        assert left_over(tmp_path) == []

    run_trio(tmp_path, check)


def test_what_was_seeded_from_a_disk_that_went_away_is_seeded_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeding, "_LOOK_SECONDS", 1e6)  # nobody notices before it is asked for again

    async def check(trio: Trio) -> None:
        assert (await trio.act(trio.leader, "create_torrent"))[0] == 200
        (standing,) = trio.leader.standings.own()
        before = standing.disk
        await standing.bay.put_away()
        await trio.fleet.wait_for(lambda: standing.bay.disk not in {None, before})
        await trio.fleet.wait_for(lambda: trio.leader.standings.lead(standing.placement.id).bay is standing.bay)
        assert (await trio.act(trio.leader, "create_torrent"))[0] == 200
        assert await seeds_of(trio.leader).offer(FindTorrent(digest_of(DATA), "127.0.0.1:1")) is not None

    run_trio(tmp_path, check)


def test_what_libtorrent_does_not_take_is_told_as_our_own_error(tmp_path: Path) -> None:
    async def run() -> None:
        async with open_engine("127.0.0.1:0") as engine:
            with pytest.raises(UnavailableError, match="does not take a torrent"):
                await engine.seed(Metainfo(0, bytes(32), b""), tmp_path / "none")

    asyncio.run(run())


def flip_byte(folder: Path, server: Running, at: int) -> None:
    (path,) = folder.glob(f"{server.standings.server}/data_*/*/{HOST}/dump")
    with path.open("r+b", buffering=0) as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_what_is_damaged_is_mended_before_it_is_seeded(tmp_path: Path) -> None:
    async def check(trio: Trio) -> None:
        flip_byte(tmp_path, trio.leader, 2 * PIECE + 9)
        assert (await trio.act(trio.leader, "create_torrent"))[0] == 200
        seed = seeds_of(trio.leader)._seeds[digest_of(DATA)]
        assert (seed.disk.root / seed.body.place).read_bytes() == DATA
        assert counted(await trio.move()) == (SIZE, 0)

    run_trio(tmp_path, check)


def test_what_is_damaged_everywhere_is_not_seeded(tmp_path: Path) -> None:
    async def check(trio: Trio) -> None:
        for each in (trio.leader, trio.follower):
            flip_byte(tmp_path, each, 2 * PIECE + 9)
        status, text = await trio.act(trio.leader, "create_torrent")
        assert status >= 500, text
        assert seeds_of(trio.leader)._seeds == {}

    run_trio(tmp_path, check)


def test_strangers_are_not_talked_to(tmp_path: Path) -> None:
    """Only hosts that another server has named, which has the fleet's secret, are let in."""

    async def run() -> None:
        data = DATA[:PIECE]
        hashing = Hashing(len(data))
        hashing.add(data)
        metainfo = hashing.finish()
        (tmp_path / "seed").write_bytes(data)
        async with open_engine("127.0.0.1:0") as seeder, open_engine("127.0.0.2:0") as other:
            await seeder.seed(metainfo, tmp_path / "seed")
            other.still_seconds = 3.0
            await other.download(metainfo, tmp_path / "refused", [seeder.address])
            assert not (tmp_path / "refused").exists() or data != (tmp_path / "refused").read_bytes()
            seeder.allow([other.address])
            other.still_seconds = 60.0
            await other.download(metainfo, tmp_path / "came", [seeder.address])
            assert (tmp_path / "came").read_bytes() == data

    asyncio.run(run())


def own_sockets() -> set[str]:
    """The local addresses of this process's sockets, as the kernel writes them: hexadecimal numbers."""
    mine = set()
    for each in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing
            mine.add(str(each.readlink()))
    found = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if f"socket:[{fields[9]}]" in mine:
                found.add(fields[1].partition(":")[0])
    return found


def test_nothing_is_bound_but_the_address_that_was_given() -> None:
    async def run() -> None:
        before = own_sockets()
        async with open_engine("127.0.0.3:0") as engine:
            assert own_sockets() - before == {"0300007F"}
            assert not engine._session.is_dht_running()
            chosen = engine._session.get_settings()
            assert [chosen[each] for each in ("enable_lsd", "enable_upnp", "enable_natpmp")] == [False] * 3

    asyncio.run(run())


def test_two_servers_cannot_have_one_address(tmp_path: Path) -> None:
    async def run() -> None:
        async with open_engine("127.0.0.1:0") as first:
            with pytest.raises(BusyError, match="torrents: cannot listen"):
                async with open_engine(first.address):
                    pass

    asyncio.run(run())


@pytest.mark.parametrize("at", [0, SIZE - 1])
def test_what_rots_while_it_is_seeded_is_not_sent(tmp_path: Path, at: int) -> None:
    async def check(trio: Trio) -> None:
        await trio.act(trio.leader, "create_torrent")
        seed = seeds_of(trio.leader)._seeds[digest_of(DATA)]
        rotten = bytearray(DATA)
        rotten[at] ^= 1
        path = seed.disk.root / seed.body.place
        path.write_bytes(rotten)
        received, refused = counted(await trio.move())
        assert refused >= 1
        assert received + refused == SIZE
        assert path.read_bytes() == rotten, "libtorrent writes to nothing that it seeds"
        offer = await seeds_of(trio.leader).offer(FindTorrent(digest_of(DATA), "127.0.0.1:1"))
        assert offer is None, "it is offered to nobody else"
        assert (await trio.act(trio.leader, "create_torrent"))[0] == 200, "it can be made anew"
        assert await seeds_of(trio.leader).offer(FindTorrent(digest_of(DATA), "127.0.0.1:1")) is not None

    run_trio(tmp_path, check, still=SHORT)
