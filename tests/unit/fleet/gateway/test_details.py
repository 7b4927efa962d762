"""Tags and locks that two change at the same time: nothing is decided by what no longer holds."""

from __future__ import annotations

from typing import Any

import pytest

from drystone.fleet.documents import Key
from drystone.fleet.objects import ObjectInfo
from drystone.fleet.s3.errors import Code
from drystone.testing.fleet.gateway_client import Answer, GatewayClient
from drystone.testing.fleet.memory_objects import MemoryCatalog, MemoryObjects

ADMIN = Key("ADMIN", "admins-secret", {"*": "admin"})
BYPASS = {"x-amz-bypass-governance-retention": "true"}


class MeddledObjects(MemoryObjects):
    """Somebody else's change of a lock comes between what a request reads and what it changes."""

    def __init__(self, catalog: MemoryCatalog) -> None:
        super().__init__(catalog, lambda: 1_790_000_000.0)
        self.between: list[dict[str, str]] = []

    async def update(self, bucket: str, key: str, version_id: str | None, *args: Any, **more: Any) -> ObjectInfo:
        if self.between:
            await super().update(bucket, key, version_id, {"lock": self.between.pop()})
        return await super().update(bucket, key, version_id, *args, **more)


class World:
    """A version that is governed until 2050, and a meddler."""

    def __init__(self) -> None:
        self.made: list[MeddledObjects] = []
        self.client = GatewayClient(ADMIN, make_objects=self._make)
        self.call("PUT", "", headers={"x-amz-bucket-object-lock-enabled": "true"})
        lock = {"x-amz-object-lock-mode": "GOVERNANCE", "x-amz-object-lock-retain-until-date": "2050-01-01T00:00:00Z"}
        self.call("PUT", "/key", b"data", lock)

    def _make(self, catalog: MemoryCatalog) -> MeddledObjects:
        self.made.append(MeddledObjects(catalog))
        return self.made[0]

    def call(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Answer:
        return self.client.call(method, f"/bucket{path}", body, headers, key=ADMIN)

    def lock(self) -> dict[str, str]:
        found = self.call("HEAD", "/key").headers
        names = ("mode", "retain-until-date", "legal-hold")
        return {name: found[f"x-amz-object-lock-{name}"] for name in names if f"x-amz-object-lock-{name}" in found}


@pytest.fixture
def world() -> World:
    return World()


def retention(mode: str, until: str) -> bytes:
    return f"<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>".encode()


STRICT = {"mode": "COMPLIANCE", "until": "2999-01-01T00:00:00.000Z"}
KEPT = {"mode": "COMPLIANCE", "retain-until-date": "2999-01-01T00:00:00.000Z"}


@pytest.mark.parametrize("body", [retention("GOVERNANCE", "2060-01-01T00:00:00Z"), b"<Retention/>"])
def test_a_retention_that_became_stricter_meanwhile_is_not_weakened(world: World, body: bytes) -> None:
    world.made[0].between.append(STRICT)
    assert world.call("PUT", "/key?retention", body, BYPASS).code == "AccessDenied"
    assert world.lock() == KEPT


def test_a_legal_hold_leaves_the_retention_that_came_meanwhile(world: World) -> None:
    world.made[0].between.append(STRICT)
    assert world.call("PUT", "/key?legal-hold", b"<LegalHold><Status>ON</Status></LegalHold>").status == 200
    assert world.lock() == {**KEPT, "legal-hold": "ON"}


def test_tags_leave_the_lock_that_came_meanwhile(world: World) -> None:
    for method, body in (("PUT", b"<Tagging><TagSet/></Tagging>"), ("DELETE", b"")):
        world.made[0].between.append(STRICT)
        assert world.call(method, "/key?tagging", body).status in (200, 204)
        assert world.lock() == KEPT


def test_a_version_that_is_changed_all_the_time_is_left_to_others(world: World) -> None:
    world.made[0].between += [STRICT] * 100
    answer = world.call("PUT", "/key?legal-hold", b"<LegalHold><Status>ON</Status></LegalHold>")
    assert (answer.status, answer.code) == (409, Code.OperationAborted.name)
    assert len(world.made[0].between) > 50
