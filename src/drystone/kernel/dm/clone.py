"""The clone target: a device that is copied from another one while it is used. Its parameters and its status.

Source: Linux 6.1 `drivers/md/dm-clone-target.c` and Documentation/admin-guide/device-mapper/dm-clone.rst. Region sizes
are sectors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from msgspec import Struct
from msgspec.structs import replace

from drystone.kernel.dm.words import WordReader, join_words

_CORE = ("hydration_threshold", "hydration_batch_size")


class Clone(Struct, frozen=True):
    """`destination` becomes `source`, region by region: a region that is not there yet is read from the source.

    :ivar metadata: remembers which regions are there. :ivar source: is only read.
    :ivar region: sectors, a power of two from 8 to 2,097,152.
    :ivar threshold: regions that are copied at a time beside the device's own use; 0 for the kernel's choice, 1.
    :ivar batch: neighbouring regions that are copied at once; 0 for the kernel's choice, 1.
    """

    kind: ClassVar[str] = "clone"
    features_known: ClassVar[tuple[str, ...]] = ("no_hydration", "no_discard_passdown")
    metadata: str
    destination: str
    source: str
    region: int
    no_hydration: bool = False
    no_discard_passdown: bool = False
    threshold: int = 0
    batch: int = 0

    @classmethod
    def parse(cls, params: str) -> Clone:
        reader = WordReader(cls.kind, params)
        metadata, destination, source = (reader.word(f"the {what}") for what in ("metadata", "destination", "source"))
        region, given = reader.whole("the region size"), reader.features(cls.features_known, most=2)
        core = dict.fromkeys(_CORE, 0)
        words = reader.whole("the number of core arguments") if reader.left else 0
        if words % 2 or words != reader.left:
            reader.fail(f"{words} core arguments are announced, {reader.left} words are there")
        while reader.left:
            name = reader.word("a core argument").lower()
            if name not in core:
                reader.fail(f"core argument {name!r} is not known")
            core[name] = reader.whole(name)
        flags = (name in given for name in cls.features_known)
        return cls(metadata, destination, source, region, *flags, *(core[name] for name in _CORE))

    def to_params(self) -> str:
        features = [name for name in self.features_known if getattr(self, name)]
        values = zip(_CORE, (self.threshold, self.batch), strict=True)
        core = [word for name, value in values if value for word in (name, value)]
        words: list[object] = [self.metadata, self.destination, self.source, self.region]
        if features or core:
            words += [len(features), *features]
        return join_words([*words, len(core), *core] if core else words)

    def map_devices(self, change: Callable[[str], str]) -> Clone:
        metadata, destination = change(self.metadata), change(self.destination)
        return replace(self, metadata=metadata, destination=destination, source=change(self.source))


class CloneStatus(Struct, frozen=True):
    """What a clone reports. Metadata is counted in its blocks (`metadata_block` sectors each).

    :ivar hydrated: regions that are on the destination, of `regions`. :ivar hydrating: those on their way.
    :ivar mode: of the metadata: `rw` or `ro`.
    """

    metadata_block: int
    used_metadata: int
    total_metadata: int
    region: int
    hydrated: int
    regions: int
    hydrating: int
    features: tuple[str, ...]
    mode: str

    @classmethod
    def parse(cls, text: str) -> CloneStatus | None:
        """None for a clone whose metadata has failed. :raises UsageError: no such text comes from a kernel."""
        if text.strip() in {"Fail", "Error"}:
            return None
        reader = WordReader("clone status", text)
        block, metadata = reader.whole("the metadata block size"), reader.ratio("metadata blocks")
        region, regions = reader.whole("the region size"), reader.ratio("regions")
        hydrating, features = reader.whole("hydrating regions"), reader.counted("features")
        reader.counted("core arguments")
        mode = reader.word("the mode")
        reader.end()
        return cls(block, *metadata, region, *regions, hydrating, features, mode)
