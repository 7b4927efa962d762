"""The one way in which a reader of stored blocks says what is wrong with one."""

from __future__ import annotations

from drystone.base.errors import DamagedError


def describe_damage(block: int, what: str, *, expected: object, found: object) -> DamagedError:
    """The error for metadata block number `block` (4096-byte blocks): what was looked at, due and there.

    The facts hold block, what, expected and found; integers stay integers.
    """
    return DamagedError(
        f"block {block}: {what} is {found}, expected {expected}",
        block=block,
        what=what,
        expected=expected,
        found=found,
    )
