"""How thin_delta spells differences: XML as both versions of thin-provisioning-tools print it, or JSON.

1.1 joins neighbouring ranges in --verbose even where their data blocks do not go on; here, as in 0.9, they end there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drystone.formats.thin.difference import Kind, Segments
from drystone.formats.thin.superblock import Superblock
from drystone.formats.xml.elements import RowKind
from drystone.formats.xml.rows import Rows, RowTemplate, format_mixed

NAMES = {Kind.SAME: "same", Kind.LEFT_ONLY: "left_only", Kind.RIGHT_ONLY: "right_only", Kind.DIFFERENT: "different"}

_PLAIN = {kind: RowKind(name, ("begin", "length")).make_template() for kind, name in NAMES.items()}
_ONE_SIDED = RowKind("range", ("begin", "data_begin", "length"), indent=6).make_template()
_TWO_SIDED = RowKind("range", ("begin", "left_data_begin", "right_data_begin", "length"), indent=6).make_template()

Chunk = bytes | NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared: (`thin`, device id) or (`root`, metadata block) on the left and on the right."""

    left: tuple[str, int]
    right: tuple[str, int]

    def name(self) -> dict[str, int]:
        """By the names of the XML's attributes: left or left_root, right or right_root."""
        return {
            f"{side}_root" if what == "root" else side: number
            for side, (what, number) in (("left", self.left), ("right", self.right))
        }


def spell_xml(
    superblock: Superblock, sides: Sides, batches: Iterable[Segments], *, verbose: bool, old: bool = False
) -> Iterator[Chunk]:
    """XML: a line a segment, or with `verbose` the data blocks of each, grouped by kind.

    :param old: tell of a reserved metadata snapshot, as 0.9 does.
    """
    held = f' metadata_snap="{superblock.held_root}"' if old and superblock.held_root else ""
    named = " ".join(f'{name}="{number}"' for name, number in sides.name().items())
    blocks = superblock.data_space_map.nr_blocks
    yield (
        f'<superblock uuid="" time="{superblock.time}" transaction="{superblock.transaction_id}"'
        f' data_block_size="{superblock.data_block_size}" nr_data_blocks="{blocks}"{held}>\n'
        f"  <diff {named}>\n"
    ).encode()
    before: Kind | None = None
    for segments in batches:
        yield _format_verbose(segments, before) if verbose else _format_plain(segments)
        before = Kind(segments.kinds[-1])
    if verbose and before is not None:
        yield f"    </{NAMES[before]}>\n".encode()
    yield b"  </diff>\n</superblock>\n"


def spell_json(superblock: Superblock, sides: Sides, batches: Iterable[Segments], *, verbose: bool) -> Iterator[Chunk]:
    """One JSON object; a row a segment, the data blocks are null where a side has none."""
    import json

    columns = ["kind", "begin", "length", *(["left_data_begin", "right_data_begin"] if verbose else [])]
    head = {
        "transaction": superblock.transaction_id,
        "time": superblock.time,
        "data_block_size": superblock.data_block_size,
        **sides.name(),
        "columns": columns,
    }
    yield json.dumps(head)[:-1].encode() + b', "rows": [\n'
    first = True
    for segments in batches:
        parts = []
        for kind, name in NAMES.items():
            for places, template in _make_json_templates(segments, kind, name, first=first, verbose=verbose):
                some = segments[places]
                columns_ = [some.begin, some.length]
                if verbose:
                    columns_ += [side for side, skip in ((some.left, 2), (some.right, 1)) if kind != skip]
                parts.append(Rows(template, places, columns_))
        first = False
        yield format_mixed(len(segments), parts)
    yield b"\n]}\n"


def _make_json_templates(
    segments: Segments, kind: Kind, name: str, *, first: bool, verbose: bool
) -> Iterator[tuple[NDArray[np.int64], RowTemplate]]:
    """Where rows of a kind are and how they look; the very first row of the document has no comma before it."""
    tails = {
        Kind.SAME: (b", ", b", ", b"]"),
        Kind.DIFFERENT: (b", ", b", ", b"]"),
        Kind.LEFT_ONLY: (b", ", b", null]"),
        Kind.RIGHT_ONLY: (b", null, ", b"]"),
    }
    tail = tails[kind] if verbose else (b"]",)
    places = np.flatnonzero(segments.kinds == kind)
    begin = f'["{name}", '.encode()
    if first and len(places) and places[0] == 0:
        yield places[:1], RowTemplate((begin, b", ", *tail))
        places = places[1:]
    yield places, RowTemplate((b",\n" + begin, b", ", *tail))


def _format_plain(segments: Segments) -> NDArray[np.uint8]:
    parts = []
    for kind, template in _PLAIN.items():
        places = np.flatnonzero(segments.kinds == kind)
        parts.append(Rows(template, places, [segments.begin[places], segments.length[places]]))
    return format_mixed(len(segments), parts)


def _format_verbose(segments: Segments, before: Kind | None) -> NDArray[np.uint8]:
    """Rows of ranges, and before each that begins a group the end of the group before and its own beginning."""
    kinds = segments.kinds.astype(np.int64)
    previous = np.concatenate(([-1 if before is None else int(before)], kinds[:-1]))
    turns = previous != kinds
    places = np.arange(len(kinds)) + np.cumsum(turns)
    parts = []
    for group in np.unique(np.stack((previous[turns], kinds[turns]), axis=1), axis=0).tolist():
        end = b"" if group[0] < 0 else f"    </{NAMES[Kind(group[0])]}>\n".encode()
        template = RowTemplate((end + f"    <{NAMES[Kind(group[1])]}>\n".encode(),))
        parts.append(Rows(template, places[turns & (previous == group[0]) & (kinds == group[1])] - 1, []))
    for kind in NAMES:
        which = np.flatnonzero(kinds == kind)
        some = segments[which]
        if kind == Kind.DIFFERENT:
            parts.append(Rows(_TWO_SIDED, places[which], [some.begin, some.left, some.right, some.length]))
        else:
            data = some.right if kind == Kind.RIGHT_ONLY else some.left
            parts.append(Rows(_ONE_SIDED, places[which], [some.begin, data, some.length]))
    return format_mixed(len(kinds) + int(turns.sum()), parts)
