"""Care of the drivers' pools: how full they are, and making them larger when their devices are.

A pool belongs to its driver, which journals a change of it by its own record (drivers/thin_pool.py); the service's
journal is about volumes.
"""

from __future__ import annotations

import logging

from drystone.base.errors import UnsupportedError, UsageError
from drystone.base.sizes import format_size
from drystone.volumes.abilities import KeepsPool, PoolGrowth, PoolReport
from drystone.volumes.driver import Preview
from drystone.volumes.service import VolumeService

log = logging.getLogger(__name__)


def list_pools(service: VolumeService) -> list[PoolReport]:
    """Every pool as it is now."""
    return [driver.pool_report() for driver in service.drivers.values() if isinstance(driver, KeepsPool)]


def preview_extend(service: VolumeService, driver: str = "") -> tuple[Preview, ...]:
    """What `extend` would do."""
    return (_find(service, driver).preview_extension(),)


def extend(service: VolumeService, driver: str = "") -> PoolGrowth:
    """Make a pool as large as its devices have become. Durable when it returns.

    :param driver: whose; "" for the only one that has a pool. :raises RefusedError: the devices have not grown.
    """
    keeper = _find(service, driver)
    keeper.preview_extension()  # what is refused is no change, and leaves no entry
    with service.catalogue.noting("pool-extend", keeper.pool_report().name):
        growth = keeper.extend_pool()
    log.info(
        "pool %s was extended: data from %s to %s, metadata from %s to %s",
        growth.name,
        *map(format_size, (growth.data_before, growth.data_after, growth.metadata_before, growth.metadata_after)),
    )
    return growth


def _find(service: VolumeService, name: str) -> KeepsPool:
    """:raises UsageError: several drivers have pools. :raises UnsupportedError: the driver has none."""
    if name:
        driver = service.driver_of(name)
        if not isinstance(driver, KeepsPool):
            raise UnsupportedError(f"driver {name} has no pool")
        return driver
    keepers = {each: driver for each, driver in service.drivers.items() if isinstance(driver, KeepsPool)}
    if not keepers:
        raise UnsupportedError("no driver here has a pool", hint="it runs " + ", ".join(service.drivers))
    if len(keepers) > 1:
        raise UsageError("several drivers have pools", hint="--driver " + " or ".join(keepers))
    return next(iter(keepers.values()))
