"""What `dvm volactivate`, `dvm observe`, `dvm dmactivate` and `dvm dmexec` do."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from drystone.base.errors import MismatchError, UsageError
from drystone.cli.dvm.documents import print_document
from drystone.cli.dvm.plain.groups import make_nodes, open_mapper
from drystone.cli.dvm.plain.mutators import read_group
from drystone.cli.input import name_input, read_input
from drystone.cli.output import print_error, print_line

if TYPE_CHECKING:
    from drystone.dvm.program import Program
    from drystone.dvm.result import Result
    from drystone.dvm.signals import HeldSignals
    from drystone.dvm.state import State
    from drystone.dvm.volactivate import Activation
    from drystone.kernel.dm.abc import DeviceMapper

    Mapper = Callable[[], AbstractContextManager[DeviceMapper]]


def volactivate(file: str) -> None:
    """Print the state in which the group's volumes are active."""
    from drystone.dvm import volactivate as maker

    group = read_group(file)
    activation = maker.activate(group, maker.paths_of(group, None))
    tell_missing(activation, partial=False)
    print_document(activation.state)


def tell_missing(activation: Activation, *, partial: bool) -> None:
    """Name what is left out or degraded: on stderr with `partial`.

    :raises MismatchError: something is, and not `partial`.
    """
    facts = {
        "left_out": [{"volume": each.name, "missing": each.missing} for each in activation.left_out],
        "degraded": [{"volume": each.name, "missing": each.missing} for each in activation.degraded],
    }
    if not any(facts.values()):
        return
    words = [f"{each.name} is left out" for each in activation.left_out]
    words += [f"{each.name} goes on degraded" for each in activation.degraded]
    error = MismatchError(
        f"devices are missing: {', '.join(words)}",
        hint="find the devices, or say --partial to go on without them",
        **facts,
    )
    if not partial:
        raise error
    print_error({**error.to_document(), "code": "partial", "hint": ""}, as_json=True)


def observe(names: tuple[str, ...], uuids: tuple[str, ...], mapper: Mapper = open_mapper) -> None:
    """Print the state of device-mapper, of the devices whose name or UUID begins so."""
    from drystone.dvm import state

    with mapper() as dm:
        if names or uuids:
            found = state.observe(dm, lambda entry: entry.name.startswith(names) or entry.uuid.startswith(uuids))
        else:
            found = state.observe(dm)
    print_document(found)


def dmactivate(current: str | None, desired: str | None, *, text: bool, in_words: bool) -> None:
    """Print the program from one state to another."""
    from drystone.dvm import dmactivate as compiler
    from drystone.dvm.blocks import KernelBlocks
    from drystone.dvm.state import resolve_paths

    states = _read_states(current, desired)
    number = KernelBlocks().number
    program = compiler.activate(resolve_paths(states[0], number), resolve_paths(states[1], number))
    print_program(program, text=text, in_words=in_words)


def _read_states(current: str | None, desired: str | None) -> tuple[State, State]:
    from drystone.base.documents import decode
    from drystone.dvm.state import State, parse_state

    if current is None:
        both = decode(read_input("-"), dict[str, State], "stdin")
        if set(both) != {"current", "desired"}:
            raise UsageError('stdin: an object with "current" and "desired" was expected')
        return both["current"], both["desired"]
    if desired is None:
        raise UsageError("DESIRED is missing", hint="name two documents, or none for stdin")
    if current == desired == "-":
        raise UsageError("stdin cannot hold both documents", hint='without arguments: {"current":, "desired":}')
    return (
        parse_state(read_input(current), f"current state ({name_input(current)})"),
        parse_state(read_input(desired), f"desired state ({name_input(desired)})"),
    )


def print_program(program: Program, *, text: bool, in_words: bool) -> None:
    """The document, its text form, or what it does in words."""
    if in_words:
        from drystone.dvm.describe import describe

        print_line("\n".join(describe(program)))
    elif text:
        from drystone.dvm.text import render_text

        print_line(render_text(program).removesuffix("\n"))
    else:
        print_document(program)


def dmexec(
    file: str, *, only_check: bool, text: bool = False, in_words: bool = False, mapper: Mapper = open_mapper
) -> None:
    """Check or run a program."""
    if (text or in_words) and not only_check:
        raise UsageError("--text and --describe go with --check")
    program = _parse(read_input(file), name_input(file))
    if only_check:
        from drystone.dvm.check import check

        check(program)
        print_program(program, text=text, in_words=in_words)
        return
    from drystone.dvm.signals import HeldSignals

    signals = HeldSignals()
    with signals.held(), mapper() as dm:
        # Ctrl-C is answered after the result is printed: what was done is never left untold.
        result = _execute(program, dm, signals)
        print_document(result)
        make_nodes(dm)
    result.require_done()


def _execute(program: Program, dm: DeviceMapper, signals: HeldSignals) -> Result:
    """Run it. Only the kernel's device-mapper holds back this machine's disks."""
    from drystone.dvm.dmexec import execute
    from drystone.kernel.dm.device_mapper import KernelDeviceMapper

    if isinstance(dm, KernelDeviceMapper):
        return execute(program, dm, signals=signals)
    return execute(program, dm, memory=nullcontext, signals=signals)


def _parse(data: bytes, what: str) -> Program:
    from drystone.dvm.program import parse_program

    if data.lstrip()[:1] == b"{":
        return parse_program(data, what)
    from drystone.dvm.text import parse_text

    try:
        return parse_text(data.decode(), what)
    except UnicodeDecodeError as error:
        raise UsageError(f"{what}: neither JSON nor text: {error}") from error
