from __future__ import annotations

from drystone.dvm.check import check
from drystone.dvm.dmactivate import activate
from drystone.dvm.instructions import AnyInstruction, Exit, JmpFail, Label, Remove, Resume
from drystone.dvm.program import Program
from drystone.dvm.state import Device, Line, State
from drystone.dvm.text import render_instruction


def device(name: str, params: str, length: int = 8, target: str = "linear") -> Device:
    return Device(name, f"U-{name}", (Line(0, length, target, params),))


def steps(current: list[Device], desired: list[Device]) -> list[str]:
    """The instructions up to success, without their jumps, each on one line."""
    program = activate(State(tuple(current)), State(tuple(desired)))
    check(program)
    shown: list[AnyInstruction] = []
    for each in program.instructions:
        if isinstance(each, Exit):
            break
        if not isinstance(each, JmpFail):
            shown.append(each)
    return [" ".join(render_instruction(each).split()) for each in shown]


LOW, HIGH = device("low", "7:0 0"), device("high", "{low} 0")


def test_equal_states_give_the_empty_program() -> None:
    assert activate(State((LOW, HIGH)), State((HIGH, LOW))) == Program()
    assert activate(State(), State()) == Program()


def test_children_are_made_first_and_removed_last() -> None:
    assert steps([], [HIGH, LOW]) == [
        "create low uuid=U-low",
        "load low 0 8 linear 7:0 0",
        "resume low",
        "create high uuid=U-high",
        "load high 0 8 linear {low} 0",
        "resume high",
    ]
    assert steps([LOW, HIGH], []) == ["remove high", "remove low"]


def test_preload_children_first_suspend_parents_first_resume_children_first() -> None:
    assert steps([LOW, HIGH], [device("low", "7:1 0"), device("high", "{low} 0", target="snapshot-origin")]) == [
        "load low 0 8 linear 7:1 0",
        "load high 0 8 snapshot-origin {low} 0",
        "suspend high",
        "suspend low",
        "resume low",
        "resume high",
    ]


def test_what_is_not_connected_is_not_suspended_together() -> None:
    other = device("other", "7:0 8")
    assert steps([LOW, HIGH, other], [device("low", "7:1 0"), HIGH, device("other", "7:1 8")]) == [
        "load low 0 8 linear 7:1 0",
        "suspend low",
        "resume low",
        "load other 0 8 linear 7:1 8",
        "suspend other",
        "resume other",
    ]


def test_a_child_grows_before_and_shrinks_after_its_parent() -> None:
    large = [device("low", "7:0 0", 16), device("high", "{low} 0", 16)]
    assert steps([LOW, HIGH], large) == [
        "load low 0 16 linear 7:0 0",
        "suspend low",
        "resume low",
        "load high 0 16 linear {low} 0",
        "suspend high",
        "resume high",
    ]
    assert steps(large, [LOW, HIGH]) == [
        "load high 0 8 linear {low} 0",
        "suspend high",
        "resume high",
        "load low 0 8 linear 7:0 0",
        "suspend low",
        "resume low",
    ]


def test_what_an_interrupted_run_left_is_finished_first() -> None:
    left = Device("low", "U-low", LOW.table, suspended=True, inactive=(Line(0, 8, "error"),))
    assert steps([left, HIGH], [LOW, HIGH]) == ["clear low", "resume low"]
    assert steps([Device("low", "U-low")], [LOW]) == ["load low 0 8 linear 7:0 0", "resume low"]


def test_a_clone_is_loaded_while_it_is_suspended() -> None:
    base = [device("m", "7:0 0"), device("d", "7:1 0"), device("s", "7:2 0")]
    before, after = (device("c", f"{{m}} {{d}} {{s}} {region}", 8, "clone") for region in (8, 16))
    assert steps([*base, before], [*base, after]) == [
        "suspend c",
        "load c 0 8 clone {m} {d} {s} 16",
        "resume c",
    ]


def test_era_is_loaded_while_it_is_suspended() -> None:
    base = [device("m", "7:0 0", 8192), device("o", "7:1 0", 8192)]
    assert steps([*base, device("e", "{m} {o} 8", 4096, "era")], [*base, device("e", "{m} {o} 8", 8192, "era")]) == [
        "suspend e",
        "load e 0 8192 era {m} {o} 8",
        "resume e",
    ]


def test_the_program_needs_the_very_devices_it_was_made_for() -> None:
    program = activate(State((LOW, HIGH)), State((LOW, HIGH, device("third", "{high} 0"))))
    assert [(each.name, each.uuid) for each in program.devices] == [("high", "U-high")]


def test_programs_do_not_depend_on_chance() -> None:
    devices = [device(f"d{n}", f"7:0 {n}") for n in range(20)]
    assert activate(State(), State(tuple(devices))) == activate(State(), State(tuple(devices)))


def test_an_origin_stands_still_while_it_gets_a_further_snapshot() -> None:
    real, cow = device("db-real", "7:0 0"), device("cow", "7:1 0")
    origin = device("db", "{db-real}", target="snapshot-origin")
    first = device("one", "{db-real} 7:2 P 8", target="snapshot")
    top = device("top", "{db} 0")
    there = [real, origin, first, top]
    second = device("two", "{db-real} {cow} P 8", target="snapshot")
    assert steps(there, [*there, cow, second])[3:] == [
        "create two uuid=U-two",
        "load two 0 8 snapshot {db-real} {cow} P 8",
        "suspend top",
        "suspend db",
        "resume two",
        "resume db",
        "resume top",
    ]


def test_a_device_that_two_change_places_around_is_never_on_itself() -> None:
    """`low` was on `mid` and goes below it; `high` comes onto `mid`, which has to be larger first."""
    mid, low, high = device("mid", "7:0 0"), device("low", "{mid} 0"), device("high", "7:0 0")
    larger = Device("mid", "U-mid", (Line(0, 8, "linear", "7:0 0"), Line(8, 8, "linear", "{low} 0")))
    desired = [device("low", "7:0 0"), larger, device("high", "{mid} 0", 16)]
    done = steps([mid, low, high], desired)
    assert done.index("resume low") < done.index("load mid 0 8 linear 7:0 0 8 8 linear {low} 0"), done


def test_a_merge_that_has_begun_is_not_undone() -> None:
    """It writes over the origin: what fails after it goes no further back."""
    real, cow, gone = device("real", "7:0 0"), device("cow", "7:0 8"), device("gone", "7:0 16")
    snap = device("snap", "{real} {cow} P 1", target="snapshot")
    before = State((real, cow, gone, snap, device("vol", "{real}", target="snapshot-origin")))
    after = State((real, cow, device("vol", "{real} {cow} P 1", target="snapshot-merge")))
    code = activate(before, after).instructions
    begun = code.index(Resume("vol"))
    removal = code.index(Remove("gone"))
    assert begun < removal
    jump = code[removal + 1]
    assert isinstance(jump, JmpFail)
    assert code[code.index(Label(jump.label)) + 1] == Exit("failed")
