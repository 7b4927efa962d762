"""Typed reading of a text's sections: what is missing or of another kind is damage, and is named by its place."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator

from drystone.base.errors import DamagedError
from drystone.formats.lvm2.syntax import Section, Value
from drystone.formats.lvm2.uuid import is_uuid

_NAME = re.compile(r"(?!\.\.?$)[A-Za-z0-9+_.][A-Za-z0-9+_.-]{0,126}")
LARGEST = (1 << 55) - 1
"""Sectors or extents: one more than this no device of Linux has."""


class Fields:
    """A section, and the path that leads to it. The methods raise DamagedError with that path.

    :ivar where: such as `vg/logical_volumes/home`.
    """

    __slots__ = ("_section", "where")

    def __init__(self, section: Section, where: str) -> None:
        self._section = section
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self._section

    def uuid(self, key: str = "id") -> str:
        text = self.text(key)
        if not is_uuid(text):
            raise self.fail(f"{key} is {text[:60]!r}, which is no UUID")
        return text

    def text(self, key: str, otherwise: str | None = None) -> str:
        value = self._section.get(key, otherwise)
        if isinstance(value, str):
            return value
        raise self._wrong(key, value, "text")

    def whole(self, key: str, otherwise: int | None = None, *, least: int = 0) -> int:
        value = self._section.get(key, otherwise)
        if isinstance(value, int):
            if least <= value <= LARGEST:
                return value
            raise self.fail(f"{key} is {value}, which cannot be")
        raise self._wrong(key, value, "a whole number")

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts; empty when it is not there. One text may stand without brackets."""
        value = self._section.get(key, ())
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, tuple):
            raise self._wrong(key, value, "a list of texts")
        found = tuple(each for each in value if isinstance(each, str))
        if len(found) != len(value):
            raise self._wrong(key, value, "a list of texts")
        return found

    def places(self, key: str) -> tuple[tuple[str, int], ...]:
        """A list in which texts and whole numbers take turns."""
        value = self._section.get(key)
        if not isinstance(value, tuple) or len(value) % 2:
            raise self._wrong(key, value, "a list of names with extents")
        found: list[tuple[str, int]] = []
        for name, extent in zip(value[::2], value[1::2], strict=True):
            if not isinstance(name, str) or not isinstance(extent, int) or not 0 <= extent <= LARGEST:
                raise self._wrong(key, value, "a list of names with extents")
            found.append((name, extent))
        return tuple(found)

    def section(self, key: str) -> Fields:
        value = self._section.get(key)
        if isinstance(value, dict):
            return Fields(value, f"{self.where}/{key}")
        raise self._wrong(key, value, "a section")

    def sections(self, key: str) -> Iterator[tuple[str, Fields]]:
        """The sections in a section, by name, which LVM2 can have given; none when it is not there."""
        if key in self._section:
            inner = self.section(key)
            yield from ((inner.check_name(name), inner.section(name)) for name in inner.names())

    def names(self) -> tuple[str, ...]:
        """The names of all that stands here."""
        return tuple(self._section)

    def check_name(self, name: str) -> str:
        """`name` itself, when LVM2 lets a group or a volume be called so."""
        if _NAME.fullmatch(name) is None:
            raise self.fail(f"{name[:40]!r} cannot be a name")
        return name

    def texts_but(self, keys: Container[str]) -> Iterator[str]:
        """Every text that stands here, in lists too, but for those of `keys`."""
        for key, value in self._section.items():
            if key in keys:
                continue
            if isinstance(value, str):
                yield value
            elif isinstance(value, tuple):
                yield from (each for each in value if isinstance(each, str))

    def fail(self, message: str) -> DamagedError:
        return DamagedError(f"{self.where}: {message}")

    def _wrong(self, key: str, value: Value | Section | None, wanted: str) -> DamagedError:
        if value is None:
            return self.fail(f"{key} is missing")
        shown = "a section" if isinstance(value, dict) else repr(value)[:60]
        return self.fail(f"{key} is {shown}, {wanted} was expected")
