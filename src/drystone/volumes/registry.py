"""Which drivers there are, and making the ones that a daemon is asked to run.

Built in: `devicemapper` and `vfs`. Others are entry points of the group `drystone.drivers`: the name is
the driver's, the object a `DriverFactory`.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Protocol

from drystone.base.errors import UnsupportedError, UsageError
from drystone.volumes.driver import Driver, Setting
from drystone.volumes.options import split_options

GROUP = "drystone.drivers"

_BUILT_IN = {
    "devicemapper": "drystone.volumes.drivers.devicemapper:FACTORY",
    "vfs": "drystone.volumes.drivers.vfs:FACTORY",
}


class DriverFactory(Protocol):
    """Makes a driver without any effect; `prefix` begins its options (`dm` for dm.datadev)."""

    prefix: str

    def make(self, setting: Setting) -> Driver:
        """A driver that has not started. :raises UsageError: an option is wrong."""


def known_drivers() -> list[str]:
    """The names, sorted."""
    return sorted({*_BUILT_IN, *(entry.name for entry in entry_points(group=GROUP))})


def find_factory(name: str) -> DriverFactory:
    """:raises UsageError: no driver of that name. :raises UnsupportedError: its package cannot be imported."""
    place = _BUILT_IN.get(name)
    try:
        if place is not None:
            module, _, attribute = place.partition(":")
            factory: DriverFactory = getattr(importlib.import_module(module), attribute)
            return factory
        for entry in entry_points(group=GROUP, name=name):
            third: DriverFactory = entry.load()
            return third
    except ImportError as error:
        raise UnsupportedError(f"driver {name!r} cannot be loaded: {error}") from error
    raise UsageError(f"there is no driver {name!r}", hint="there is " + ", ".join(known_drivers()))


def find_factories(names: Sequence[str], options: Mapping[str, str]) -> dict[str, tuple[DriverFactory, dict[str, str]]]:
    """Factory and options of each driver, in the order asked.

    :raises UsageError: an unknown or repeated driver, or an option that belongs to none of them.
    """
    if not names:
        raise UsageError("no driver was named", hint="--drivers devicemapper or --drivers vfs")
    if len(set(names)) != len(names):
        raise UsageError("a driver is named twice")
    factories = {name: find_factory(name) for name in names}
    split = split_options(options, {factory.prefix: name for name, factory in factories.items()})
    return {name: (factory, split[name]) for name, factory in factories.items()}
