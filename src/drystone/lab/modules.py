"""Kernel modules: which files to load, and in what order, out of modules.dep (modules.dep(5)).

The host works the order out, so that a guest loads files one after another instead of running modprobe for each.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from drystone.base.errors import NotFoundError

ROOT_MODULES = ("overlay",)
"""Needed before a guest has a root of its own."""
USUAL_MODULES = ("dm-mod", "loop")
"""Loaded in every guest; whatever else is wanted, the kernel asks modprobe for by itself or `--module` names it."""
DISK_MODULES = ("nbd",)


def parse_dependencies(text: str) -> dict[str, tuple[str, tuple[str, ...]]]:
    """modules.dep's text as name -> (its file, the files it needs, in the order of modules.dep: last one first).

    Names are written with `-` throughout; files are relative to the folder.
    """
    table: dict[str, tuple[str, tuple[str, ...]]] = {}
    for line in text.splitlines():
        file, colon, needs = line.partition(":")
        if colon:
            table[module_name(file)] = (file, tuple(needs.split()))
    return table


def module_name(file: str) -> str:
    """`dm-thin-pool` for `kernel/drivers/md/dm-thin-pool.ko`; `_` and `-` mean the same."""
    return Path(file).name.split(".")[0].replace("_", "-")


def plan_modules(names: Iterable[str], folder: Path, built_in: Iterable[str] = ()) -> list[str]:
    """The files to load for `names`, each after what it needs, none twice.

    :raises NotFoundError: the kernel has no such module.
    """
    table = parse_dependencies((folder / "modules.dep").read_text())
    inside = {module_name(each) for each in built_in}
    order: dict[str, None] = {}
    for name in names:
        key = name.replace("_", "-")
        if key in inside:
            continue
        if key not in table:
            raise NotFoundError(f"the lab's kernel {folder.name} has no module {name!r}", hint=f"look into {folder}")
        file, needs = table[key]
        for each in (*reversed(needs), file):
            order.setdefault(str(folder / each))
    return list(order)
