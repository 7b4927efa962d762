"""What must hold for a case that was not refused: metadata checked as sound is sound, and so is what was written.

    metadata that the check calls sound    is dumped to its end; every count of its space maps is right by the reckoning
                                           of `testing.damage`, which shares no code with the check; a repair of it
                                           loses nothing
    metadata that was restored, repaired   is sound in that sense
    era metadata, sound or not             is told alike by the two readers of its trees
    labels, slots of regions               are spelled again as they were read (in `labels` and `regions`)
    regions that a tool has changed        can be read, and hold what it says (in `regions`)

A case that breaks one of these raises AssertionError, which the campaign counts as a failure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from drystone.base.errors import DrystoneError
from drystone.formats.era import dump as era_dump
from drystone.formats.era.check import check_metadata as check_era
from drystone.formats.era.check import survey_metadata
from drystone.formats.era.parts import iter_logical_parts
from drystone.formats.era.repair import repair as repair_era
from drystone.formats.era.superblock import read_superblock as read_era
from drystone.formats.pdata.blocks import BlockReader
from drystone.formats.pdata.memory import MemoryDisk
from drystone.formats.thin.check import check_metadata as check_thin
from drystone.formats.thin.dump import Choice, dump
from drystone.formats.thin.repair import write_salvage
from drystone.formats.thin.salvage import find_salvage
from drystone.formats.thin.spelling import SPELLERS
from drystone.formats.thin.superblock import read_superblock as read_thin
from drystone.testing.damage.references import list_miscounted
from drystone.testing.damage.table import READERS, Target

_CHANGING = re.compile(rb' time="[0-9]+"(?= transaction=)| flags="[0-9]+"(?= version=)')
"""What a repair may put right in sound metadata: a time below that of a device, flags without meaning."""


def check_thin_image(reader: BlockReader) -> None:
    """Check; what is called sound must be sound."""
    if check_thin(reader).is_sound():
        demand_sound("thin", reader)


def check_era_image(reader: BlockReader) -> None:
    """Check; what is called sound must be sound, and both readers of trees must say the same."""
    report = check_era(reader)
    demand(report == survey_metadata(reader), "the two readers of era metadata do not agree")
    if report.is_sound():
        demand_sound("era", reader)


def repair_thin_image(reader: BlockReader, disk: MemoryDisk) -> None:
    """Repair to `disk`; the result must be sound, and all that there was when nothing was wrong."""
    write_salvage(reader, find_salvage(reader), disk)
    demand_sound("thin", disk)
    if check_thin(reader).is_sound():
        before, after = (_CHANGING.sub(b"", dump_thin(each)) for each in (reader, disk))
        demand(after == before, "the repair of sound metadata is not equal to it")


def repair_era_image(reader: BlockReader, disk: MemoryDisk) -> None:
    """Repair to `disk`; the result must be sound, and all that there was when nothing was wrong."""
    repair_era(reader, disk)
    demand_sound("era", disk)
    if check_era(reader).is_sound():
        demand(dump_era(disk) == dump_era(reader), "the repair of sound metadata is not equal to it")


def demand_written(target: Target, disk: MemoryDisk) -> None:
    """What a restore wrote is sound by our check, and by the other reckoning."""
    sound = (check_thin(disk) if target == "thin" else check_era(disk)).is_sound()
    demand(sound, "what was written is not sound")
    demand_sound(target, disk)


def dump_thin(reader: BlockReader) -> bytes:
    """All mappings, device by device, however they are shared."""
    return join_chunks(SPELLERS["xml", False](dump(reader, read_thin(reader), Choice(share=False))))


def dump_era(reader: BlockReader) -> bytes:
    """The newest era of every block."""
    return join_chunks(era_dump.format_xml(iter_logical_parts(reader, read_era(reader))))


def join_chunks(chunks: Iterable[bytes | NDArray[np.uint8]]) -> bytes:
    """Text that comes as bytes and as arrays of them."""
    return b"".join(chunk if isinstance(chunk, bytes) else chunk.tobytes() for chunk in chunks)


def demand_sound(target: Target, reader: BlockReader) -> None:
    """Metadata that the check calls sound can be dumped, and every count of its space maps is right."""
    try:
        (dump_thin if target == "thin" else dump_era)(reader)
        anatomy = READERS[target](reader)
    except DrystoneError as error:
        raise AssertionError(f"called sound, yet refused: {error.message}") from error
    for which in ("metadata", "data") if target == "thin" else ("metadata",):
        wrong = list_miscounted(anatomy, which)
        demand(not wrong, f"called sound, yet the {which} space map counts blocks {wrong[:5]} wrongly")


def demand(held: object, otherwise: str) -> None:
    """:raises AssertionError: what must hold does not."""
    if not held:
        raise AssertionError(otherwise)
