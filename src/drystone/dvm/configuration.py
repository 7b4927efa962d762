"""The configuration of the tools: one TOML file, named by `-c FILE`. No tool looks for one by itself.

    [common]
    wait_s = 10                       # seconds to wait for another tool's lock

    [discover]
    files = ["/srv/disk1.img"]        # plain files that stand for devices
    filters = [{accept = "^/dev/disk/by-id/"}, {reject = "."}]
    region = "1:257"                  # where metadata goes on a new device

    [transact]
    keep = 8                          # versions that stay readable

A key that is not known is refused. docs/reference/configuration.md has all of them.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from drystone.base.errors import UsageError
from drystone.dvm.discovery.filters import Filter, make_filter

Seconds = Annotated[float, msgspec.Meta(ge=0, le=86400)]


class Common(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all tools share. :ivar wait_s: seconds for which a lock of another tool is waited for."""

    wait_s: Seconds = 10.0


class FilterEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One of `accept` and `reject`: a regular expression that is looked for in a device's paths."""

    accept: str | None = None
    reject: str | None = None


class Discover(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where labels are looked for.

    :ivar devices: whether block devices are looked at, besides `files`. :ivar filters: the first match wins.
    :ivar own_volumes: whether our own volumes are looked into. :ivar region: BEGIN:END in pages.
    """

    devices: bool = True
    files: tuple[str, ...] = ()
    filters: tuple[FilterEntry, ...] = ()
    own_volumes: bool = False
    region: str = "1:257"


class Transact(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How metadata is kept. :ivar keep: versions that stay readable; it holds for regions that are made from now on."""

    keep: Annotated[int, msgspec.Meta(ge=2, le=31)] = 8


class Configuration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A section for all, and one a tool."""

    common: Common = Common()
    discover: Discover = Discover()
    transact: Transact = Transact()


def parse_configuration(data: bytes, what: str) -> Configuration:
    """A configuration from the text of a TOML file.

    :raises UsageError: no TOML (with line and column), an unknown key or a wrong value (with its place).
    """
    import tomllib  # a tool without a configuration starts without it

    try:
        document: dict[str, Any] = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{what}: it is no text in UTF-8: {error}") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{what}: {error}") from error
    try:
        found = msgspec.convert(document, Configuration)
    except msgspec.ValidationError as error:
        raise UsageError(f"{what}: {error}", hint="docs/reference/configuration.md has all keys") from error
    to_filters(found.discover, what)
    return found


def to_filters(section: Discover, what: str) -> tuple[Filter, ...]:
    """The filters of the section, in order.

    :raises UsageError: an entry without one of `accept` and `reject`, or no regular expression; with its place.
    """
    filters = []
    for index, each in enumerate(section.filters):
        where = f"{what}: discover.filters[{index}]"
        given = [(pattern, accept) for pattern, accept in ((each.accept, True), (each.reject, False)) if pattern]
        if len(given) != 1 or (each.accept is not None and each.reject is not None):
            raise UsageError(f"{where}: one of accept and reject is needed, and not both")
        filters.append(make_filter(given[0][0], accept=given[0][1], where=where))
    return tuple(filters)
