"""The commonest mutators, as functions of their options: each gives the change that makes one group of another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from drystone.base.documents import encode
from drystone.base.errors import DrystoneError
from drystone.cli.dvm.documents import explain, print_document
from drystone.cli.input import name_input, read_input

if TYPE_CHECKING:
    from drystone.dvm.groups.group import Group
    from drystone.dvm.metadata.edit import Ids
    from drystone.kernel.pipe import Piped

    Change = Callable[[Group], Group]


def create(
    name: str,
    seed: str | None,
    policy: str,
    devices: tuple[str, ...],
    tags: tuple[str, ...],
    size: int,
    kind: str,
    **shape: Any,
) -> Change:
    """A new volume. :param shape: further fields of `metadata.create.Wish`."""
    from drystone.dvm.metadata.create import Wish
    from drystone.dvm.metadata.create import create as make

    wish = Wish(name, size, policy=policy, devices=devices, tags=tags, **shape)
    return lambda group: make(group, wish, ids(seed), kind)


def extend(name: str, policy: str, devices: tuple[str, ...], size: int | None, by: int | None) -> Change:
    """A larger volume."""
    from drystone.dvm.metadata.size import extend as make

    return lambda group: make(group, name, size=size, by=by, policy=policy, devices=devices)


def rename(name: str, new: str) -> Change:
    """Another name."""
    from drystone.dvm.metadata.names import rename as make

    return lambda group: make(group, name, new)


def remove(names: tuple[str, ...], *, join: bool) -> Change:
    """Fewer volumes."""
    from drystone.dvm.metadata.remove import remove as make

    return lambda group: make(group, names, join=join)


def snapshot(
    origin: str,
    name: str,
    seed: str | None,
    policy: str,
    devices: tuple[str, ...],
    tags: tuple[str, ...],
    size: int | None,
    *,
    join: bool,
    chunk: int | None = None,
) -> Change:
    """A snapshot of a volume."""
    from drystone.dvm.metadata.snapshot import snapshot as make

    return lambda group: make(
        group,
        origin,
        name,
        ids(seed),
        size=size,
        chunk=chunk,
        policy=policy,
        devices=devices,
        tags=tags,
        join=join,
    )


def thin(
    pool: str, names: tuple[str, ...], seed: str | None, tags: tuple[str, ...], size: int, *, join: bool
) -> Change:
    """New thin volumes."""
    from drystone.dvm.metadata.thin import thin as make

    return lambda group: make(group, pool, names, size, ids(seed), tags=tags, join=join)


MUTATORS: dict[str, Callable[..., Change]] = {
    "create": create,
    "extend": extend,
    "rename": rename,
    "remove": remove,
    "snapshot": snapshot,
    "thin": thin,
}
"""By their word behind `dvm metadata`."""


def ids(seed: str | None) -> Ids:
    """What gives out uuids."""
    from drystone.dvm.metadata.edit import random_ids, seeded_ids

    return random_ids if seed is None else seeded_ids(seed)


def read_group(file: str) -> Group:
    """The group in `file`, checked."""
    from drystone.dvm.groups.rules import parse_group

    return parse_group(read_input(file), name_input(file))


def mutate(mutator: str, file: str, **options: object) -> None:
    """Read the group in `file`, change it, print it."""
    print_document(MUTATORS[mutator](**options)(read_group(file)))


def run_here(words: Sequence[str], stdin: bytes) -> Piped | None:
    """What the process `dvm WORDS` would give with `stdin`, without any; None when these words are no plain mutator.

    A mutator is a function of its input and its words, so whoever waits for its answer can as well call it. The
    document comes without the blanks that a process would print for people: it is stored, and read by every command.
    """
    from drystone.cli.dvm.plain.table import LINES
    from drystone.cli.dvm.plain.words import read_line
    from drystone.dvm.groups.rules import parse_group
    from drystone.kernel.pipe import Piped

    tool = " ".join(words[:2])
    line = LINES.get(tool)
    options = None if line is None or words[0] != "metadata" else read_line(words[2:], line)
    if options is None or options.pop("file") != "-":
        return None
    try:
        made = MUTATORS[words[1]](**options)(parse_group(stdin, "stdin"))
    except DrystoneError as error:
        told = explain(error, f"dvm {tool}")
        document = {"code": told.code, "message": told.message, "hint": told.hint}
        return Piped(told.exit_code, b"", encode(document))
    return Piped(0, encode(made), b"")
