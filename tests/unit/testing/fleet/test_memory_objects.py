"""Objects in memory pass the check that the fleet passes."""

import asyncio
import time

import pytest

from drystone.testing.fleet.memory_objects import MemoryCatalog, MemoryObjects
from drystone.testing.fleet.objects import CONFORMANCE, Check


@pytest.mark.parametrize("check", CONFORMANCE, ids=lambda check: check.__name__)
def test_conforms(check: Check) -> None:
    async def run() -> None:
        catalog = MemoryCatalog()
        await check(MemoryObjects(catalog, time.time), catalog)

    asyncio.run(run())
