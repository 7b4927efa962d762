"""Any order of wishes, late copies of them, kills and boots: who was shut out stays out, and no leg is wiped in use."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from drystone.base.errors import MismatchError
from drystone.cluster.model.calls import LegsWish, target_name
from drystone.dvm.state import State
from drystone.testing.cluster.bench import DLV, HOST, STRANGER, DpvHost, legs_wishes, make_dlv

Step = tuple[str, int]
LEGS = ("leg-0a", "leg-1a")
ADMITTED: tuple[tuple[str, ...] | None, ...] = ((), (HOST,), (STRANGER,), None)
"""None: the dlv is withdrawn."""


def wish(epoch: int) -> LegsWish:
    """The one wish of an epoch, which says always the same."""
    initiators = ADMITTED[epoch * 7 % 4]
    if initiators is None:
        return LegsWish(DLV, epoch, (), State())
    return legs_wishes(make_dlv(epoch=epoch), initiators)["dpv0"]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 9)),
        st.tuples(st.just("kill"), st.integers(0, 400)),
        st.tuples(st.just("boot"), st.just(0)),
    ),
    max_size=10,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_who_was_shut_out_stays_out(tmp_path: Path, steps: list[Step]) -> None:
    host = DpvHost(Path(f"{tmp_path}/{len([*tmp_path.iterdir()])}"), "127.0.0.1:3261")
    told, is_told = 0, True
    for kind, number in steps:
        in_use = {each.pieces[0].start * 8192 for each in host.slices.read().slices if each.is_ready}
        wiped = len(host.wiped)
        if kind == "boot":
            host.boot()
            is_told = False
        else:
            epoch, at = (number, 0) if kind == "put" else (number % 9 + 1, number // 9 + 1)  # 0: it is not killed
            if _call(host, epoch, at):
                told, is_told = max(told, epoch), True
        host.agent.recover()
        assert not in_use.intersection(host.wiped[wiped:])
        _check(host, told, is_told)


def _call(host: DpvHost, epoch: int, at: int) -> bool:
    """Whether the wish was taken."""

    def put() -> None:
        host.agent.put(wish(epoch))

    before = host.agent.survey().dlvs.get(DLV, 0)
    try:
        host.crash(put, at)
    except MismatchError:
        assert epoch < before
    after = host.agent.survey().dlvs.get(DLV, 0)
    assert after == max(before, epoch) or (at and after == before)
    return after == epoch


def _check(host: DpvHost, epoch: int, is_told: bool) -> None:
    """All is as the newest wish says that was taken; but where no call came since the boot, nobody is let in."""
    exports = wish(epoch).exports if epoch else ()
    assert host.admitted() == {each.target: [*each.initiators] if is_told else [] for each in exports}
    assert {each.leg for each in host.slices.read().slices} == {each.leg for each in exports}
    assert {each.name for each in host.lio.backstores()} == {each.leg for each in exports}
    assert [*host.agent.survey().troubles] == ([DLV] if not is_told and exports and exports[0].initiators else [])
    if exports:
        assert [*host.admitted()] == [target_name(leg) for leg in LEGS]
