"""Rebuilding a repository's state when its newest generation cannot be read, from what is whole beside it.

docs/reference/backup-format.md, When the newest generation is damaged. A backup that had been deleted, and whose
manifest was not removed yet, comes back by this.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drystone.backup.collecting.index_objects import IndexRewriter, Names, index_packs
from drystone.backup.format.keys import (
    INDEX,
    STATE,
    manifest_key,
    new_writer,
    pack_key,
    parse_index_key,
    parse_slot_key,
    parse_state_key,
    state_key,
)
from drystone.backup.format.manifest import Manifest
from drystone.backup.objects import pack_sizes, read_manifests
from drystone.backup.reading.locate import reach, read_index
from drystone.backup.state import document
from drystone.backup.state.document import Entry, State
from drystone.backup.state.generations import replace_state
from drystone.backup.state.operations import is_dead, read_operations
from drystone.backup.vault import Vault
from drystone.base.errors import BusyError, DamagedError, NotFoundError, RefusedError


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The generation that was made, the backups in it, and what was left out and why."""

    number: int
    backups: tuple[Entry, ...]
    left_out: tuple[DamagedError, ...]

    def to_document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "generation": self.number,
            "backups": [
                {"volume": each.volume, "backup": each.backup, "created": each.created} for each in self.backups
            ],
            "left_out": [error.to_document() for error in self.left_out],
        }


def rebuild(vault: Vault, *, force: bool = False) -> Rebuilt:
    """Put one more generation, of the manifests that are whole and whose packs are all there.

    Nothing is deleted. What is not named by it is garbage for the next collection: look at `left_out` before.

    :param force: also when the newest generation can be read, and while somebody collects.

    :raises RefusedError: the newest generation can be read, and `force` was not said: deleted backups could come back.
    :raises BusyError: somebody collects, and may be deleting what only the damaged generation said of.
    """
    left_out: list[DamagedError] = []
    if not force:
        _check_nobody_collects(vault)

    def compute(state: State | None) -> State:
        if state is not None and state.number and not force:
            raise RefusedError(
                f"the repository's state can be read: generation {state.number}",
                hint="rebuilding may bring deleted backups back; --force does it all the same",
            )
        left_out.clear()
        return _make(vault, state if state is not None and state.number else _older(vault), left_out)

    made = replace_state(vault, compute)
    return Rebuilt(made.number, made.backups, tuple(left_out))


def _check_nobody_collects(vault: Vault) -> None:
    for key, each in read_operations(vault, []).items():
        if each.operation == "collect" and not is_dead(key, each):
            raise BusyError(
                f"process {each.pid} of host {each.host.rpartition('/')[2]} collects: it may delete what comes back",
                hint="let it end, or say --force where it is known to be dead",
            )


def _make(vault: Vault, known: State, left_out: list[DamagedError]) -> State:
    removed = set(known.removed)
    sizes = {pack: size for pack, size in pack_sizes(vault).items() if pack_key(pack) not in removed}
    backups: list[Entry] = []
    wanted: set[bytes] = set()
    for manifest, stored in read_manifests(vault, damaged=left_out.append):
        if manifest_key(manifest.head.volume, manifest.head.backup) in removed:
            continue
        missing = _missing(known, manifest.pack_ids(), sizes)
        if missing:
            left_out.append(_lost(manifest, missing))
            continue
        backups.append(Entry.of(manifest.head, stored))
        wanted |= manifest.pack_ids()
    needed = reach(known, wanted)
    named = {(each.volume, each.backup) for each in backups}
    named |= {(str(error.facts.get("volume")), str(error.facts.get("backup"))) for error in left_out}
    left_out += [_gone(entry, known) for entry in known.backups if (entry.volume, entry.backup) not in named]
    return State(
        backups=tuple(sorted(backups, key=lambda each: (each.created, each.backup))),
        # Over packs that manifests name, and no others: repair.py says why.
        indexes=_indexes(vault, {pack: size for pack, size in sizes.items() if pack in wanted}, set(sizes), removed),
        # Somebody may be about to delete these still. A key slot comes back rather than that the last one goes.
        removed=tuple(key for key in known.removed if parse_slot_key(key) is None),
        moved={pack: new for pack, new in known.moved.items() if bytes.fromhex(pack) in needed},
        damaged={pack: offsets for pack, offsets in known.damaged.items() if bytes.fromhex(pack) in needed},
    )


def _lost(manifest: Manifest, missing: bytes) -> DamagedError:
    head = manifest.head
    return DamagedError(
        f"backup {head.backup} of volume {head.volume} is left out: pack {missing.hex()} is missing",
        backup=head.backup,
        volume=head.volume,
        pack=missing.hex(),
    )


def _gone(entry: Entry, known: State) -> DamagedError:
    return DamagedError(
        f"backup {entry.backup} of volume {entry.volume} is left out: generation {known.number} has it, and its "
        "manifest is not there; it may have been deleted since",
        backup=entry.backup,
        volume=entry.volume,
    )


def _missing(known: State, packs: set[bytes], sizes: dict[bytes, int]) -> bytes | None:
    """A pack that is neither there nor moved to packs that are."""
    for pack in sorted(reach(known, packs)):
        if pack not in sizes and pack.hex() not in known.moved:
            return pack
    return None


def _older(vault: Vault) -> State:
    """The newest generation that can be read; an empty one when there is none."""
    for number in _numbers(vault):
        try:
            return document.parse(vault.get(state_key(number)), number)
        except (DamagedError, NotFoundError):
            continue
    return State()


def _numbers(vault: Vault) -> Iterator[int]:
    """Generations, the newest first."""
    found = (parse_state_key(key) for key, _ in vault.store.list(STATE))
    yield from sorted((number for number in found if number is not None), reverse=True)


def _indexes(vault: Vault, needed: dict[bytes, int], there: set[bytes], removed: set[str]) -> tuple[str, ...]:
    """The indexes that can be read, without packs that are gone; and new ones over packs that none of them has."""
    names: list[str] = []
    covered: set[bytes] = set()
    sizes: dict[str, int] = {}
    for key, size in vault.store.list(INDEX):
        name = parse_index_key(key) if key not in removed else None
        index = read_index(vault, name) if name is not None else None
        if name is not None and index is not None:
            names.append(name)
            sizes[name] = size
            covered |= set(index.packs)
    new = Names(new_writer().hex() for _ in range(2 * len(names) + len(needed) + 1))
    kept = IndexRewriter(vault, new).rewrite(tuple(sorted(names)), covered - there, sizes)
    return (*kept, *index_packs(vault, new, {pack: size for pack, size in needed.items() if pack not in covered}))
