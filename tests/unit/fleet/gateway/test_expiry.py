"""Rules applied to a bucket: what has expired goes, what is locked or new stays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from drystone.base.errors import UnavailableError
from drystone.fleet.documents import Bucket
from drystone.fleet.gateway.expiry import Expired, Expirer, expire
from drystone.fleet.objects import ObjectInfo, PutOptions
from drystone.fleet.s3.lifecycle import DAY, Rule, pack_rules
from drystone.testing.fleet.bodies import BytesBody, put
from drystone.testing.fleet.memory_objects import MemoryCatalog, MemoryObjects


class World:
    """Objects in memory under a clock that is set."""

    def __init__(self) -> None:
        self.time = 0.0
        self.catalog = MemoryCatalog()
        self.objects = MemoryObjects(self.catalog, lambda: self.time)

    async def make(self, *rules: Rule, versioning: str = "") -> Bucket:
        settings = {"lifecycle": pack_rules(rules), "versioning": versioning}
        return await self.catalog.create_bucket("bucket", "owner", settings)

    async def put(self, key: str, when: float, options: PutOptions | None = None) -> ObjectInfo:
        self.time = when
        return await put(self.objects, "bucket", key, options=options)

    async def versions(self) -> list[str]:
        page = await self.objects.list("bucket", "", "", "", 10_000, versions=True)
        return [info.version_id if info.version_id != "null" else info.key for info in page.objects]

    async def expire(self, bucket: Bucket, now: float) -> Expired:
        self.time = now
        return await expire(self.objects, bucket, now)


def run(test: Callable[[World], Awaitable[None]]) -> None:
    async def begin() -> None:
        await test(World())

    asyncio.run(begin())


def test_old_objects_go() -> None:
    async def test(world: World) -> None:
        bucket = await world.make(Rule("r", True, "a/", days=3))
        for key, when in (("a/1", 0), ("a/2", DAY), ("b/1", 0)):
            await world.put(key, when)
        assert await world.expire(bucket, 3 * DAY - 1) == Expired()
        assert await world.expire(bucket, 3 * DAY) == Expired(objects=1)
        assert await world.versions() == ["a/2", "b/1"]
        assert await world.expire(bucket, 9 * DAY) == Expired(objects=1)
        assert await world.expire(bucket, 9 * DAY) == Expired()

    run(test)


def test_versions_go_across_pages_and_locked_ones_stay() -> None:
    async def test(world: World) -> None:
        bucket = await world.make(Rule("r", True, noncurrent_days=1, newer=3), versioning="Enabled")
        made = {key: [await world.put(key, 0) for _ in range(400)] for key in ("a", "b", "c")}
        locked = PutOptions(size=4, lock={"hold": "ON"})
        kept = await world.put("a", 0, locked)
        made["a"] += [await world.put("a", 0) for _ in range(10)]
        done = await world.expire(bucket, 2 * DAY)
        assert done == Expired(versions=400 + 10 + 2 * 400 - 3 * 4)
        left = [info.version_id for key in ("a", "b", "c") for info in made[key][:-5:-1]]
        assert await world.versions() == [*left[:4], kept.version_id, *left[4:]]

    run(test)


def test_a_current_version_of_a_versioned_bucket_is_covered_by_a_marker() -> None:
    async def test(world: World) -> None:
        rule = Rule("r", True, days=1, noncurrent_days=5)
        bucket = await world.make(rule, versioning="Enabled")
        await world.put("a", 0)
        assert await world.expire(bucket, DAY) == Expired(objects=1)
        assert len(await world.versions()) == 2
        assert await world.expire(bucket, 2 * DAY) == Expired()
        assert await world.expire(bucket, 6 * DAY) == Expired(versions=1)
        assert await world.expire(bucket, 7 * DAY) == Expired(versions=1)
        assert await world.versions() == []

    run(test)


def test_uploads_end() -> None:
    async def test(world: World) -> None:
        bucket = await world.make(Rule("r", True, abort_days=1))
        upload = await world.objects.begin_upload("bucket", "a", PutOptions())
        await world.objects.put_part("bucket", "a", upload.upload_id, 1, BytesBody(b"x"), PutOptions(size=1))
        assert await world.expire(bucket, DAY - 1) == Expired()
        assert await world.expire(bucket, DAY) == Expired(uploads=1)
        assert await world.objects.list_uploads("bucket", "") == ()

    run(test)


class Overwriting(MemoryObjects):
    """Objects that are overwritten just before they are looked at again."""

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> ObjectInfo:
        await put(self, bucket, key)
        return await super().head(bucket, key, version_id)


def test_what_was_overwritten_meanwhile_stays() -> None:
    async def test(world: World) -> None:
        bucket = await world.make(Rule("r", True, days=1))
        objects = Overwriting(world.catalog, lambda: world.time)
        await put(objects, "bucket", "a")
        assert await expire(objects, bucket, DAY) == Expired()
        assert [info.key for info in (await objects.list("bucket", "", "", "", 10)).objects] == ["a"]

    run(test)


class Silent(MemoryCatalog):
    """A catalogue whose mappers do not answer."""

    async def buckets(self) -> tuple[Bucket, ...]:
        raise UnavailableError("no mapper answers")


def test_only_the_responsible_server_works_and_failures_wait_for_the_next_time() -> None:
    async def test(world: World) -> None:
        await world.make(Rule("r", True, days=1))
        await world.put("a", 0)
        asked: list[str] = []

        def responsible(name: str) -> bool:
            asked.append(name)
            return len(asked) > 1

        expirer = Expirer(world.objects, world.catalog, responsible, now=lambda: DAY)
        await expirer.run_once()
        assert await world.versions() == ["a"]
        await Expirer(world.objects, Silent(), lambda _: True).run_once()
        await expirer.run_once()
        assert (await world.versions(), asked) == ([], ["bucket", "bucket"])

    run(test)
