"""Storage servers with a mapper, in one process on loopback: two copies, servers that go and come back, damage."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from drystone.fleet.disk.changes import Change
from drystone.fleet.disk.disk import Disk
from drystone.fleet.disk.identity import read_identity
from drystone.fleet.documents import Placement
from drystone.fleet.objects import Conditions, ObjectInfo, PutOptions
from drystone.fleet.replica import make_seq
from drystone.fleet.s3.errors import Code, S3Error
from drystone.fleet.storage.reading import Mender
from drystone.fleet.storage.server import Running
from drystone.fleet.storage.upkeep import Scrubber, ScrubState
from drystone.testing.fleet.bodies import BytesBody, make_bytes, put, read
from drystone.testing.fleet.disk_world import leave_dirty
from drystone.testing.fleet.objects import CONFORMANCE
from drystone.testing.fleet.servers import FleetServers

BUCKET = "backups"


def run_fleet(
    folder: Path, action: Callable[[FleetServers], Awaitable[None]], *, dead: float = 6.0, patience: float = 12.0
) -> None:
    async def run() -> None:
        async with FleetServers(folder, dead=dead, patience=patience) as fleet:
            await fleet.server("s1").catalog.create_bucket(BUCKET, "owner", {})
            await action(fleet)

    asyncio.run(run())


def placement_of(server: Running, host: str = "web") -> Placement:
    found = server.standings.atlas.find(BUCKET, host)
    assert found is not None
    return found


def files_of(fleet: FleetServers, name: str) -> list[Path]:
    """The files of an object of the host `web`, on all disks."""
    return sorted(fleet.folder.glob(f"s*/data_*/*/web/{name}"))


def whole(server: Running) -> bool:
    return len(placement_of(server).in_sync()) == 2


async def read_key(server: Running, key: str) -> bytes:
    return await read(server.objects, BUCKET, await server.objects.head(BUCKET, key))


@pytest.mark.parametrize("server", ["s1", "s2"])
def test_the_fleet_does_what_objects_do(tmp_path: Path, server: str) -> None:
    async def check(fleet: FleetServers) -> None:
        here = fleet.server(server)
        for each in CONFORMANCE:
            await each(here.objects, here.catalog)

    run_fleet(tmp_path, check)


def test_two_files_lie_on_two_servers_when_a_put_returns(tmp_path: Path) -> None:
    async def check(fleet: FleetServers) -> None:
        data = make_bytes((3 << 20) + 5, 1)
        await put(fleet.server("s2").objects, BUCKET, "web/dump", data)
        files = files_of(fleet, "dump")
        assert len({path.relative_to(tmp_path).parts[0] for path in files}) == 2
        assert [path.read_bytes() for path in files] == [data, data]

    run_fleet(tmp_path, check)


def test_a_leader_that_ends_is_followed_and_comes_back(tmp_path: Path) -> None:
    async def check(fleet: FleetServers) -> None:
        first = fleet.server("s1")
        for number in range(20):
            await put(first.objects, BUCKET, f"web/{number}", make_bytes(1000, number))
        leader = placement_of(first).leader
        other = fleet.server("s2" if leader == "s1" else "s1")
        await fleet.stop(leader)
        await put_until_taken(other, "web/degraded", b"one copy")
        assert await read_key(other, "web/7") == make_bytes(1000, 7)
        await other.objects.delete(BUCKET, "web/3")
        back = await fleet.start(leader)
        await fleet.wait_for(lambda: whole(other) and placement_of(other).member(leader) is not None)
        assert len(files_of(fleet, "degraded")) == 2
        assert files_of(fleet, "3") == []
        assert await read_key(back, "web/degraded") == b"one copy"

    run_fleet(tmp_path, check, dead=3.0)


async def put_until_taken(server: Running, key: str, data: bytes) -> None:
    """As a client does: again when it is told to try again."""
    async with asyncio.timeout(120):
        while True:
            try:
                await put(server.objects, BUCKET, key, data)
                return
            except S3Error as error:
                if error.code is not Code.SlowDown:
                    raise
                await asyncio.sleep(0.2)


def test_damage_is_never_served_and_is_mended(tmp_path: Path) -> None:
    async def check(fleet: FleetServers) -> None:
        server = fleet.server("s1")
        data = make_bytes((2 << 20) + 100, 5)
        await put(server.objects, BUCKET, "web/dump", data)
        own = placement_of(server).member(placement_of(server).leader)
        assert own is not None
        (path,) = fleet.folder.glob(f"{own.server}/{own.disk}/*/web/dump")
        flip(path, (1 << 20) + 17)
        assert await read_key(server, "web/dump") == data
        assert path.read_bytes() == data
        path.unlink()
        assert await read_key(server, "web/dump") == data
        assert path.read_bytes() == data
        for each in files_of(fleet, "dump"):
            flip(each, 5)
        with pytest.raises(Exception, match="damaged in every copy"):
            await read_key(server, "web/dump")

    run_fleet(tmp_path, check)


def flip(path: Path, at: int) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_a_write_that_nobody_can_decide_is_refused_and_taken_back(tmp_path: Path) -> None:
    async def check(fleet: FleetServers) -> None:
        server = fleet.server("s1")
        await put(server.objects, BUCKET, "web/file", b"before")
        placement = placement_of(server)
        leading = fleet.server(placement.leader)
        (other,) = {each.server for each in placement.members} - {placement.leader}
        await fleet.stop_mapper()
        await fleet.stop(other)
        with pytest.raises(S3Error) as raised:
            await put(leading.objects, BUCKET, "web/file", b"after")
        assert raised.value.code is Code.SlowDown
        await asyncio.gather(fleet.start(other), fleet.start_mapper())
        standing = leading.standings.find(placement.id)
        assert standing is not None
        await fleet.wait_for(lambda: not standing.disk.dirty(placement.id) and whole(leading))
        assert await read_key(leading, "web/file") == b"before"
        assert {path.read_bytes() for path in files_of(fleet, "file")} == {b"before"}

    run_fleet(tmp_path, check, patience=1.0)


def test_of_many_puts_if_absent_one_wins_whoever_is_asked(tmp_path: Path) -> None:
    async def check(fleet: FleetServers) -> None:
        options = PutOptions(size=1, conditions=Conditions(if_none_match=("*",)))
        tries = [
            put(fleet.server(id_).objects, BUCKET, "web/generation", bytes([number]), options)
            for number in range(8)
            for id_ in ("s1", "s2")
        ]
        results = await asyncio.gather(*tries, return_exceptions=True)
        codes = [each.code for each in results if isinstance(each, S3Error)]
        assert codes == [Code.PreconditionFailed] * 15
        assert len({path.read_bytes() for path in files_of(fleet, "generation")}) == 1

    run_fleet(tmp_path, check)


def write_unacknowledged(folder: Path, placement: Placement, disk_name: str, key: str, data: bytes) -> None:
    """What a leader makes that dies before anybody else has it: on a disk whose server does not run."""
    disk = Disk(folder / disk_name, disk_name)
    disk.open(read_identity(folder / disk_name).fleet)
    try:
        body = disk.receive(size=len(data))
        body.write(data)
        sums = body.finish()
        seq = make_seq(placement.epoch, 1_000_000)
        info = ObjectInfo(key, len(data), 1.0, sums.md5, sums.digest, seq)
        assert disk.apply(Change("put", placement.id, info, seq), body)
    finally:
        disk.close()


def test_what_a_leader_did_not_acknowledge_is_gone_when_it_comes_back(tmp_path: Path) -> None:
    async def check(fleet: FleetServers) -> None:
        server = fleet.server("s1")
        await put(server.objects, BUCKET, "web/file", b"acknowledged")
        placement = placement_of(server)
        own = placement.member(placement.leader)
        assert own is not None
        other = fleet.server("s2" if own.server == "s1" else "s1")
        await fleet.stop(own.server)
        for key in ("web/file", "web/extra"):
            write_unacknowledged(fleet.folder / own.server, placement, own.disk, key, b"never acknowledged")
        await fleet.wait_for(lambda: placement_of(other).leader == other.standings.server)
        back = await fleet.start(own.server)
        await fleet.wait_for(lambda: whole(other) and placement_of(other).member(own.server) is not None)
        assert await read_key(back, "web/file") == b"acknowledged"
        assert {path.read_bytes() for path in files_of(fleet, "file")} == {b"acknowledged"}
        assert files_of(fleet, "extra") == []

    run_fleet(tmp_path, check, dead=3.0)


def test_a_dirty_key_whose_bytes_are_damaged_here_is_mended_before_it_is_settled(tmp_path: Path) -> None:
    """Else the members' good bytes would be passed over for a newer version that nobody has whole."""

    async def check(fleet: FleetServers) -> None:
        data = make_bytes((1 << 20) + 100, 5)
        await put(fleet.server("s1").objects, BUCKET, "web/file", data)
        leading = fleet.server(placement_of(fleet.server("s1")).leader)
        (standing,) = leading.standings.own()
        flip(standing.bay.root / standing.disk.slot_of(standing.placement.id) / "web" / "file", 17)
        leave_dirty(standing.disk, standing.placement.id, "web/file", 1)
        other = "s2" if leading is fleet.server("s1") else "s1"
        await fleet.stop(other)
        await put_until_taken(leading, "web/degraded", b"in an epoch in which it is looked what is dirty")
        await fleet.start(other)
        await fleet.wait_for(lambda: not standing.disk.dirty(standing.placement.id) and whole(leading))
        assert await read_key(leading, "web/file") == data
        assert [path.read_bytes() for path in files_of(fleet, "file")] == [data, data]

    run_fleet(tmp_path, check)


def upload_ids(fleet: FleetServers, id_: str) -> dict[str, list[int]]:
    """Uploads in parts that lie on a server's disk, with the numbers of their parts."""
    (standing,) = fleet.server(id_).standings.own()
    disk, placement_id = standing.disk, standing.placement.id
    return {
        each.upload_id: [part.number for part in disk.parts(placement_id, each.upload_id)[1]]
        for each in disk.uploads(placement_id)
    }


async def put_part(server: Running, upload_id: str, number: int, data: bytes) -> str:
    body = BytesBody(data)
    return (await server.objects.put_part(BUCKET, "web/large", upload_id, number, body, PutOptions())).etag


def test_parts_are_copied_and_what_ended_meanwhile_does_not_come_back(tmp_path: Path) -> None:
    async def check(fleet: FleetServers) -> None:
        parts = [make_bytes(5 << 20, 1), make_bytes((5 << 20) + 7, 2), make_bytes(1000, 3)]
        first = fleet.server("s1")
        begin = first.objects.begin_upload
        kept, dropped = [(await begin(BUCKET, "web/large", PutOptions())).upload_id for _ in range(2)]
        etags = [await put_part(first, kept, 1, parts[0])]
        await put_part(first, dropped, 1, parts[2])
        leader = placement_of(first).leader
        other = "s2" if leader == "s1" else "s1"
        await fleet.stop(other)
        leading = fleet.server(leader)
        await put_until_taken(leading, "web/degraded", b"so the other one is no member any more")
        await leading.objects.abort_upload(BUCKET, "web/large", dropped)
        etags.append(await put_part(leading, kept, 2, parts[1]))
        later = (await leading.objects.begin_upload(BUCKET, "web/later", PutOptions())).upload_id
        await fleet.start(other)
        await fleet.wait_for(lambda: whole(leading))
        assert upload_ids(fleet, other) == {kept: [1, 2], later: []}
        await fleet.stop(leader)
        survivor = fleet.server(other)
        await fleet.wait_for(lambda: placement_of(survivor).leader == other)
        etags.append(await put_part(survivor, kept, 3, parts[2]))
        named = tuple(enumerate(etags, 1))
        info = await survivor.objects.complete_upload(BUCKET, "web/large", kept, named, PutOptions())
        assert await read(survivor.objects, BUCKET, info) == b"".join(parts)

    run_fleet(tmp_path, check, dead=3.0)


def test_a_damaged_part_is_not_copied_and_stops_nothing_else(tmp_path: Path) -> None:
    async def check(fleet: FleetServers) -> None:
        first = fleet.server("s1")
        upload_id = (await first.objects.begin_upload(BUCKET, "web/large", PutOptions())).upload_id
        leader = placement_of(first).leader
        other = "s2" if leader == "s1" else "s1"
        await fleet.stop(other)
        leading = fleet.server(leader)
        for number in (1, 2):
            await put_part(leading, upload_id, number, make_bytes((2 << 20) + number, number))
        (damaged,) = [
            path
            for path in fleet.folder.glob(f"{leader}/data_*/.drystone/parts/**/*")
            if path.is_file() and path.stat().st_size == (2 << 20) + 1
        ]
        flip(damaged, (1 << 20) + 5)
        await fleet.start(other)
        await fleet.wait_for(lambda: whole(leading))
        assert upload_ids(fleet, other) == {upload_id: [2]}

    run_fleet(tmp_path, check)


def test_a_scrub_finds_and_mends(tmp_path: Path) -> None:
    async def check(fleet: FleetServers) -> None:
        server = fleet.server("s1")
        data = make_bytes((1 << 20) + 100, 5)
        await put(server.objects, BUCKET, "web/damaged", data)
        await put(server.objects, BUCKET, "web/lost", data)
        for id_ in ("s1", "s2"):
            standings = fleet.server(id_).standings
            (standing,) = standings.own()
            slot = standing.disk.slot_of(standing.placement.id)
            folder = standing.bay.root / slot / "web"
            flip(folder / "damaged", (1 << 20) + 7)
            (folder / "lost").unlink()
            scrubber = Scrubber(standings, Mender(standings, server.calls), tmp_path / "scrub", 1 << 30, 1.0)
            state = ScrubState(began=1.0)
            await scrubber.scrub(standing.bay, standing.disk, state)
            assert (state.damaged, state.mended) == (2, 2)
            assert (folder / "damaged").read_bytes() == data
            assert (folder / "lost").read_bytes() == data

    run_fleet(tmp_path, check)
