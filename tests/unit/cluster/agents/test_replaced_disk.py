"""A dpv whose disk is replaced: its agent makes a leg once, when the call says that it may, and never again."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from drystone.base.errors import DamagedError, MismatchError
from drystone.cluster.model.calls import LegsWish
from drystone.testing.cluster.bench import DLV, HOST, DpvHost, legs_wishes, make_dlv

LEGS = ["leg-0a", "leg-1a"]


@pytest.fixture
def host(tmp_path: Path) -> DpvHost:
    return DpvHost(tmp_path / "dpv0", "127.0.0.1:3261")


def wish(epoch: int = 1, *, ready: bool = False, initiators: tuple[str, ...] = (HOST,)) -> LegsWish:
    dlv = make_dlv(epoch=epoch)
    if ready:
        dlv = replace(dlv, legs=tuple(replace(leg, status="ready") for leg in dlv.legs))
    return legs_wishes(dlv, initiators)["dpv0"]


def slices(host: DpvHost) -> list[str]:
    return [each.leg for each in host.slices.read().slices]


def test_a_leg_that_is_recorded_as_made_is_not_made_anew(host: DpvHost) -> None:
    host.agent.put(wish())
    host.replace_disk()
    with pytest.raises(DamagedError, match="are not on") as raised:
        host.agent.put(wish(2, ready=True))
    assert raised.value.facts["missing"] == LEGS
    assert (slices(host), host.admitted()) == ([], {})
    assert host.agent.survey().dlvs == {DLV: 2}
    assert [*host.agent.survey().troubles] == [DLV]


def test_an_agent_without_notes_does_not_make_it_either(host: DpvHost) -> None:
    with pytest.raises(DamagedError):
        host.agent.put(wish(ready=True))
    assert slices(host) == []


def test_its_own_start_makes_no_leg_that_was_there(host: DpvHost) -> None:
    """In an epoch in which it might have been made: it may be in use since."""
    host.agent.put(wish())
    host.replace_disk()
    host.agent.recover()
    assert slices(host) == []
    assert [*host.agent.survey().troubles] == [DLV]


def test_a_late_copy_of_the_call_that_made_it_makes_it_no_more(host: DpvHost) -> None:
    host.agent.put(wish())
    assert host.agent.put(wish(ready=True)) == host.agent.put(wish()), "they are one call"
    host.replace_disk()
    for late in (wish(), wish(ready=True)):
        with pytest.raises(DamagedError):
            host.agent.put(late)
    assert slices(host) == []
    host.agent.put(wish(2))
    assert slices(host) == LEGS


def test_the_narrower_of_two_calls_holds_before_it_is_made(host: DpvHost) -> None:
    with pytest.raises(DamagedError):
        host.agent.put(wish(ready=True))
    with pytest.raises(DamagedError):
        host.agent.put(wish())
    assert slices(host) == []


def test_another_wish_of_that_epoch_is_refused_still(host: DpvHost) -> None:
    host.agent.put(wish())
    with pytest.raises(MismatchError, match="something else"):
        host.agent.put(wish(ready=True, initiators=()))


def test_a_fence_is_done_although_a_leg_is_not_there(host: DpvHost) -> None:
    host.agent.put(wish())
    host.slices.remove(DLV, LEGS)
    with pytest.raises(DamagedError):
        host.agent.put(wish(2, ready=True, initiators=()))
    assert [*host.admitted().values()] == [[], []]


def test_a_leg_that_was_never_finished_is_not_taken_for_one_that_was(host: DpvHost) -> None:
    host.slices.have(DLV, dict.fromkeys(LEGS, 8 << 20), LEGS)
    host.slices.mark_ready(LEGS[:1])
    with pytest.raises(DamagedError) as raised:
        host.agent.put(wish(ready=True))
    assert raised.value.facts["missing"] == LEGS[1:]
    assert host.wiped == []


def test_it_may_be_killed_at_every_step_of_making_a_leg(tmp_path: Path) -> None:
    """Before anybody is let in it is noted that the legs are there: a start on another disk makes none then."""
    at, was_killed = 0, True
    while was_killed:
        at += 1
        host = DpvHost(tmp_path / str(at), "127.0.0.1:3261")
        was_killed = host.crash(lambda host=host: host.agent.put(wish()), at)  # type: ignore[misc]
        was_let_in = any(host.admitted().values())
        host.replace_disk()
        host.agent.recover()
        assert not (was_let_in and slices(host))
    assert at > 10
