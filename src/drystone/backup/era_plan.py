"""Whether a backup of an era device may read only what changed. When in doubt it reads everything."""

from __future__ import annotations

from dataclasses import dataclass

from drystone.backup.era_state import EraState
from drystone.formats.era.tag import Session


@dataclass(frozen=True, slots=True)
class EraFacts:
    """An era device as it is now.

    :ivar tag: of the metadata; "" when it has none. :ivar sessions: see drystone.formats.era.tag.
    :ivar era: of the metadata snapshot: it tells of what was written before that era.
    :ivar block_size: bytes of a block. :ivar blocks: that the metadata knows. :ivar size: bytes of the device.
    :ivar keeps_writesets: whether the kernel keeps what was written in the era in which the power goes.
    :ivar discards_until: the newest era in which the device may have let discards through, which are recorded wrongly;
        0 for none.
    """

    tag: str
    sessions: tuple[Session, ...]
    era: int
    block_size: int
    blocks: int
    size: int
    keeps_writesets: bool = True
    discards_until: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    """Everything (`since` None), or what was written in era `since` or later. `reason`: why everything."""

    since: int | None
    reason: str = ""


def choose(facts: EraFacts, state: EraState | None, missing: str = "", at_era: int | None = None) -> Choice:
    """What to read.

    :param state: of the backup to build upon; None: there is none, and `missing` says why.
    :param at_era: the data is that of a snapshot which was taken when this era had begun; None: it is read after now.
    """
    if state is None:
        return Choice(None, missing)
    doubts = (
        (facts.tag == "", "the era metadata has no tag by which it could be known: see drystone era create --continue"),
        (facts.tag != state.tag, "the era metadata is not that of the last backup: it was made anew, or is another's"),
        (
            facts.size != state.size or facts.blocks != -(-facts.size // facts.block_size),
            f"the device was resized from {state.size} to {facts.size} bytes",
        ),
        (
            facts.block_size != state.block_size,
            f"the size of the blocks was {state.block_size} bytes and is {facts.block_size}",
        ),
        (
            not _has_seen(facts.sessions, state),
            "the era metadata is of an older time than the last backup: it was put back from a copy",
        ),
        (
            not 0 < state.next_era <= state.end_era <= facts.era,
            f"the eras went backwards: the last backup ended in era {state.end_era}, the device is at {facts.era}",
        ),
        (
            at_era is not None and at_era < state.next_era,
            f"the data is of era {at_era}, the last backup of era {state.next_era}",
        ),
        (
            not facts.keeps_writesets,
            "this kernel is older than 5.12 and forgets what was written in the era in which the power goes",
        ),
        (
            state.next_era <= facts.discards_until,
            "the device let discards through, of which dm-era marks only the first block",
        ),
    )
    reason = next((text for is_so, text in doubts if is_so), "")
    return Choice(None, reason) if reason else Choice(state.next_era)


def _has_seen(sessions: tuple[Session, ...], state: EraState) -> bool:
    """Whether the metadata was in use when the backup was made: it knows the session, and that lasted until then.

    A copy that was taken in the same session, before the backup, knows the session too. When it is put back, the next
    session begins with the era after the copy's.
    """
    numbers = [each.number for each in sessions]
    if state.session not in numbers:
        return False
    at = numbers.index(state.session)
    return at == 0 or state.end_era < sessions[at - 1].first_era
