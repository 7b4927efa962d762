"""`--driver-opts key=value`: parsing, and one error for each thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from drystone.base.errors import UsageError


def parse_options(words: Iterable[str]) -> dict[str, str]:
    """`key=value` words as a dict; a value may hold more `=`.

    :raises UsageError: a word without `=`, an empty key or value, a key given twice.
    """
    options: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"driver option {word!r} has no '='", hint="write --driver-opts dm.datadev=/dev/sdb")
        if not key or key != key.strip():
            raise UsageError(f"driver option {word!r} has no proper key")
        if not value:
            raise UsageError(f"driver option {key!r} has no value")
        if key in options:
            raise UsageError(f"driver option {key!r} is given twice")
        options[key] = value
    return options


def split_options(options: Mapping[str, str], prefixes: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The options of each driver.

    :param prefixes: driver name by option prefix, such as `{"dm": "devicemapper"}`.
    :raises UsageError: an option of a driver that does not run here.
    """
    found: dict[str, dict[str, str]] = {driver: {} for driver in prefixes.values()}
    for key, value in options.items():
        driver = prefixes.get(key.partition(".")[0])
        if driver is None or "." not in key:
            known = ", ".join(f"{prefix}.*" for prefix in sorted(prefixes))
            raise UsageError(f"driver option {key!r} belongs to no driver of this daemon", hint=f"there is {known}")
        found[driver][key] = value
    return found


def check_known(options: Mapping[str, str], known: Iterable[str], driver: str) -> None:
    """:raises UsageError: an option that the driver does not have."""
    names = sorted(known)
    for key in options:
        if key not in names:
            raise UsageError(f"driver {driver} has no option {key!r}", hint="it has " + ", ".join(names))
