"""Pruning: what a policy does not keep goes, and packs of which much is unused are rewritten.

First a plan, which is a value; then, unless only the plan was asked for, what it says. What appears meanwhile is looked
at again when the state is changed: see collect.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from drystone.backup.collecting.choice import Limits, PackUse, choose
from drystone.backup.collecting.collect import Collected, Moves, begin, doom, remove
from drystone.backup.collecting.compact import Copied, move_packs
from drystone.backup.collecting.delete import take_out
from drystone.backup.collecting.mark import Mark
from drystone.backup.collecting.needs import Needs
from drystone.backup.collecting.retention import Decision, Policy, decide
from drystone.backup.format.manifest import Head
from drystone.backup.objects import pack_sizes
from drystone.backup.pipeline import Progress, silent
from drystone.backup.reading.locate import reach
from drystone.backup.state.document import State
from drystone.backup.state.operations import reading
from drystone.backup.tuning import Tuning
from drystone.backup.vault import Vault
from drystone.base.errors import DamagedError, NotFoundError


@dataclass(frozen=True, slots=True)
class Plan:
    """What a prune would do. Sizes in bytes.

    :ivar decisions: for every backup. :ivar packs, stored: packs that are there, and their bytes.
    :ivar unneeded, unneeded_bytes: packs that go as they are. :ivar rewrite: packs to rewrite.
    :ivar damages: what was found wrong on the way; packs that may be concerned are left alone.
    """

    decisions: tuple[Decision[Head], ...]
    packs: int
    stored: int
    unneeded: int
    unneeded_bytes: int
    rewrite: tuple[PackUse, ...]
    damages: tuple[str, ...]

    @property
    def freed(self) -> int:
        """Bytes that the store will have less."""
        return self.unneeded_bytes + sum(each.unused for each in self.rewrite)

    @property
    def rewritten(self) -> int:
        """Bytes of records that are copied."""
        return sum(each.used for each in self.rewrite)

    def to_document(self) -> dict[str, object]:
        """As JSON."""
        return {
            "keep": [_document(each) for each in self.decisions if each.kept],
            "delete": [_document(each) for each in self.decisions if not each.kept],
            "packs": self.packs,
            "stored": self.stored,
            "unneeded_packs": self.unneeded,
            "rewrite_packs": len(self.rewrite),
            "freed": self.freed,
            "rewritten": self.rewritten,
            "damages": list(self.damages),
        }


def _document(decision: Decision[Head]) -> dict[str, object]:
    head = decision.backup
    return {
        "volume": head.volume,
        "backup": head.backup,
        "created": head.created,
        "source": head.source,
        "size": head.size,
        "reasons": list(decision.reasons),
    }


@dataclass(frozen=True, slots=True)
class Pruned:
    """A plan, and what came of it; `collected` is None when only the plan was asked for."""

    plan: Plan
    collected: Collected | None
    damages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wish:
    """What to prune: a volume's backups ("": all volumes'), by which policy, and how far packs are rewritten."""

    policy: Policy
    limits: Limits
    volume: str = ""


def prune(
    vault: Vault,
    wish: Wish,
    *,
    tuning: Tuning,
    dry_run: bool = False,
    force: bool = False,
    show: Callable[[Plan], None] = lambda _plan: None,
    progress: Progress = silent,
) -> Pruned:
    """Prune a repository.

    :param force: take every operation under way for dead; those that live fail, and can be made again.
    :param show: is handed the plan before anything is done.
    :param progress: bytes copied.

    :raises DamagedError: a manifest is missing or wrong, so nobody knows what its backup needs; nothing was changed.
    :raises NotFoundError: the volume has no backup.
    """
    if dry_run:
        with reading(vault) as state:
            plan = _plan(vault, state, pack_sizes(vault), wish, tuning)[0]
            show(plan)
            return Pruned(plan, None, plan.damages)
    with begin(vault, tuning.workers, force=force) as job:
        plan, needs, mark = _plan(vault, job.own.state, job.listing.packs, wish, tuning)
        show(plan)
        goes = [(each.backup.volume, each.backup.backup) for each in plan.decisions if not each.kept]
        if goes:
            take_out(vault, goes, missing_is_fine=True)
        moves: Moves | None = None
        copied = Copied()
        if mark is not None:
            moves, copied = move_packs(job, list(plan.rewrite), mark, tuning, progress)
            for pack in _emptied(job.own.state, mark, job.listing.packs):
                moves.moved.setdefault(pack, [])
        collected = remove(job, needs, doom(job, needs, moves), moves)
        vault.store.clean()
        return Pruned(plan, collected, (*plan.damages, *(each.message for each in copied.damages)))


def _plan(
    vault: Vault, state: State, sizes: dict[bytes, int], wish: Wish, tuning: Tuning
) -> tuple[Plan, Needs, Mark | None]:
    heads = [each.head() for each in state.backups]
    if wish.volume and not any(head.volume == wish.volume for head in heads):
        raise NotFoundError(f"there is no backup of volume {wish.volume}")
    chosen = [head for head in heads if wish.volume in {"", head.volume}]
    decisions = decide(chosen, wish.policy)
    goes = {(each.backup.volume, each.backup.backup) for each in decisions if not each.kept}
    left = msgspec.structs.replace(
        state, backups=tuple(each for each in state.backups if (each.volume, each.backup) not in goes)
    )
    exact = wish.limits.max_unused < 1 or wish.limits.merge
    mark = Mark(vault, state, tuning.workers) if exact else None
    needs = Needs(vault, tuning.workers, mark.add if mark is not None else None)
    needs.read(left)
    wanted = reach(state, needs.named(left))
    unneeded = [size for pack, size in sizes.items() if pack not in wanted]
    rewrite = [] if mark is None else choose(_uses(state, mark, sizes, wanted), wish.limits, tuning.pack_size)
    return (
        Plan(
            tuple(decisions),
            len(sizes),
            sum(sizes.values()),
            len(unneeded),
            sum(unneeded),
            tuple(rewrite),
            tuple(each.message for each in mark.damages) if mark is not None else (),
        ),
        needs,
        mark,
    )


def _uses(state: State, mark: Mark, sizes: dict[bytes, int], wanted: set[bytes]) -> list[PackUse]:
    """How the packs are used that may be rewritten."""
    free = (mark.packs() & sizes.keys() & wanted) - state.going() - mark.uncertain
    return [
        PackUse(pack, mark.kind_of(pack), sizes[pack], *mark.used(pack)) for pack in sorted(free) if mark.used(pack)[0]
    ]


def _emptied(state: State, mark: Mark, sizes: dict[bytes, int]) -> set[bytes]:
    """Packs that were moved earlier, and of which nothing is needed any more where they are."""
    moved = {bytes.fromhex(pack) for pack in state.moved} & sizes.keys()
    return {pack for pack in moved - state.going() - mark.uncertain if not mark.used(pack)[0]}


def raise_damages(pruned: Pruned) -> None:
    """:raises DamagedError: something was found wrong on the way."""
    if pruned.damages:
        more = f", and {len(pruned.damages) - 1} more" if len(pruned.damages) > 1 else ""
        raise DamagedError(
            pruned.damages[0] + more,
            hint="`drystone backup scrub` names all damage and the backups that it hits",
            damages=list(pruned.damages[:100]),
        )
