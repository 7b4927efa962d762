"""What `dvm discover find`, `dvm transact read` and `dvm transact update` do."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING

from drystone.base.errors import BusyError, DrystoneError, UsageError
from drystone.cli.dvm.documents import print_bytes, print_document
from drystone.cli.input import name_input, read_input
from drystone.cli.output import print_line, print_table

if TYPE_CHECKING:
    from drystone.dvm.discovery.devices import Devices
    from drystone.dvm.program import Program
    from drystone.dvm.result import Result
    from drystone.dvm.transactions.activation import Activation
    from drystone.dvm.transactions.survey import Survey
    from drystone.kernel.dm.abc import DeviceMapper
    from drystone.kernel.pipe import Piped

WAIT_S = 10.0
"""Seconds that another tool's lock is waited for, unless a configuration says otherwise."""


def find(group: str, files: tuple[str, ...], *, text: bool) -> None:
    """Print the devices of a group."""
    from drystone.dvm.discovery.finding import find as find_group
    from drystone.dvm.discovery.scan import Place

    print_devices(find_group(Place(files), group), text=text)


def print_devices(devices: Devices, *, text: bool) -> None:
    """The document, or a table for people."""
    if not text:
        print_document(devices)
        return
    rows = [
        (each.path or "(missing)", each.uuid, each.size or "", " ".join(f"{s.begin}:{s.end}" for s in each.regions))
        for each in devices.devices
    ]
    print_table(("path", "uuid", "size", "regions"), rows)
    for note in devices.notes:
        print_line(note.message)


def read(group: str, file: str | None, paths: tuple[str, ...]) -> None:
    """Print the metadata of a group."""
    print_bytes(read_metadata(group, file, paths))


def read_metadata(group: str, file: str | None, paths: tuple[str, ...]) -> bytes:
    """The newest metadata of a group that is complete."""
    from drystone.dvm.transactions.survey import require_complete

    with open_group(group, file, paths, closely=False) as found:
        require_complete(found)
        if found.version is None or not found.at_head:
            from drystone.dvm.transactions.transact import read as read_version  # it says why

            return bytes(read_version(found)[1].metadata)
        return bytes(found.version.metadata)


def update(
    group: str, file: str | None, paths: tuple[str, ...], mutator: tuple[str, ...], *, dry_run: bool, activate: bool
) -> None:
    """Put what the mutator makes of the metadata in its place, and print the outcome."""
    from drystone.base.clock import SystemClock
    from drystone.dvm.transactions.mutator import run_mutator
    from drystone.dvm.transactions.transact import update as update_metadata

    with open_mapper() if activate else nullcontext() as dm:
        with open_group(group, file, paths, write=not dry_run, closely=False) as found:
            outcome = update_metadata(
                found,
                lambda metadata: run_mutator(mutator, metadata, run=partial(run_program, _run_here)),
                ("update", *mutator),
                SystemClock().now(),
                dry_run=dry_run,
                along=go_along(dm, found) if dm is not None else None,
            )
        print_document(outcome)
        if dm is not None:
            make_nodes(dm)


@contextmanager
def open_group(
    group: str,
    file: str | None,
    paths: tuple[str, ...],
    *,
    write: bool = False,
    wait_s: float = WAIT_S,
    without: tuple[str, ...] = (),
    closely: bool = True,
) -> Iterator[Survey]:
    """The group's regions, open.

    :param file: a document about its devices; stdin without it. :param paths: the devices themselves, instead of that.
    :param closely: see to the older versions, too.
    """
    from drystone.dvm.transactions.opening import is_silent, opened

    with ExitStack() as stack:
        locked = _lock_named(stack, paths, shared=not write, wait_s=wait_s) if file is None else None
        document = read_devices(group, file, paths)
        # What was named by --device, and says nothing of itself any more, is not in the document.
        going = [each for each in without if not (each in paths and is_silent(each))]
        yield stack.enter_context(
            opened(document, write=write, wait_s=wait_s, without=going, closely=closely, locked=locked)
        )


def _lock_named(stack: ExitStack, paths: Sequence[str], *, shared: bool, wait_s: float) -> frozenset[str] | None:
    """The devices that were named, locked before anybody looks at them, so that one look is enough.

    None when none was named, or one cannot be opened; then they are locked when it is known which ones matter.

    :raises BusyError: another tool works on one.
    """
    from drystone.dvm.discovery.scan import to_absolute
    from drystone.kernel.pages import locked_paths

    if not paths:
        return None
    try:
        return stack.enter_context(locked_paths(map(to_absolute, paths), shared=shared, patience=wait_s))
    except BusyError:
        raise
    except DrystoneError:
        return None


def read_devices(group: str, file: str | None, paths: tuple[str, ...]) -> Devices:
    """The document about a group's devices, as `open_group` takes it."""
    from drystone.dvm.discovery.devices import parse_devices, require_group

    if paths:
        if file is not None:
            raise UsageError("--devices and --device were given", hint="one of them")
        from drystone.dvm.discovery.finding import find as find_group
        from drystone.dvm.discovery.scan import Place

        return find_group(Place(paths, has_devices=False), group)
    name = file or "-"
    if name == "-" and sys.stdin.isatty():
        raise UsageError("no devices were told", hint=f"dvm discover find {group} | dvm transact ..., or --device PATH")
    devices = parse_devices(read_input(name), f"devices ({name_input(name)})")
    require_group(devices, group)
    return devices


def go_along(dm: DeviceMapper, found: Survey) -> Activation:
    """What changes device-mapper with the metadata."""
    from drystone.dvm.transactions.activation import Activation

    return Activation(dm, runner(dm), found.document)


def runner(dm: DeviceMapper) -> Callable[[Program], Result]:
    """What runs the programs of updates. Only the kernel's device-mapper holds back this machine's disks."""
    from drystone.dvm.dmexec import execute
    from drystone.dvm.transactions.page_blocks import PageBlocks
    from drystone.kernel.dm.device_mapper import KernelDeviceMapper
    from drystone.kernel.memory import locked_memory

    memory = locked_memory if isinstance(dm, KernelDeviceMapper) else nullcontext
    return partial(execute, dm=dm, devices=PageBlocks(), memory=memory)


def make_nodes(dm: DeviceMapper) -> None:
    """Have the nodes in /dev that udev makes where it runs. Only the kernel's device-mapper has any."""
    from drystone.kernel.dm.device_mapper import KernelDeviceMapper
    from drystone.kernel.dm.nodes import sync_nodes, udev_runs

    if isinstance(dm, KernelDeviceMapper) and not udev_runs():
        sync_nodes((entry.name, entry.number) for entry in dm.list_devices())


def run_program(here: Callable[[Sequence[str]], int], words: Sequence[str], stdin: bytes) -> Piped:
    """Run a program; a mutator of this very `dvm` without starting Python once more.

    :param here: runs `dvm` with these words in the forked process; its exit code.
    """
    if len(words) < 2 or words[1] != "metadata" or not _is_this_program(words[0]):
        from drystone.kernel.pipe import run_piped

        return run_piped(words, stdin)
    from drystone.cli.dvm.plain.mutators import run_here

    if (answer := run_here(words[1:], stdin)) is not None:
        return answer
    from drystone.kernel.fork import run_forked

    return run_forked(lambda: here(words[1:]), stdin)


def _run_here(words: Sequence[str]) -> int:
    from drystone.cli.dvm.plain.run import run_words

    return run_words(words)


def _is_this_program(word: str) -> bool:
    """Whether the shell's word stands for the file that runs here as `dvm`."""
    own = sys.argv[0]
    if not own.endswith("/dvm") or word.rpartition("/")[2] != "dvm":
        return False
    folders = [""] if "/" in word else os.environ.get("PATH", os.defpath).split(os.pathsep)
    places = (os.path.join(folder, word) for folder in folders)  # noqa: PTH118  # pathlib is not needed otherwise
    found = next((place for place in places if os.access(place, os.X_OK)), None)
    return found is not None and os.path.samefile(found, own)  # noqa: PTH121  # likewise


def open_mapper() -> AbstractContextManager[DeviceMapper]:
    """The kernel's device-mapper, closed at the end."""
    from drystone.kernel.dm.device_mapper import KernelDeviceMapper

    return closing(KernelDeviceMapper())
