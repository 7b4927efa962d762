"""Transitions of in-sync sets, one at a time. That no order of them loses a write: tests/property/cluster."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from drystone.base.errors import BusyError, MismatchError, RefusedError, UsageError
from drystone.cluster.model import in_sync
from drystone.cluster.model.dlv import Attachment, Dlv, Group, Leg, MirrorKey, Role
from drystone.cluster.model.in_sync import Assembly
from drystone.cluster.model.tables import ihost_state

META, DATA = MirrorKey(0, 0), MirrorKey(1, 0)


def make_dlv(mirrors: int = 2) -> Dlv:
    groups = (
        Group(number=0, role="metadata", stripes=1, extents=1),
        Group(number=1, role="data", stripes=1, extents=4),
    )
    legs = tuple(
        Leg(id=f"{name}{place}", group=group.number, stripe=0, place=place, dpv=f"d{place}", extents=group.extents)
        for name, group in zip("md", groups, strict=True)
        for place in range(mirrors)
    )
    return Dlv(
        id="id", name="db", dvg="g", size=4096, initial_size=1, mirrors=mirrors, stripes=1, chunk=128, block=128,
        groups=groups, legs=legs,
    )  # fmt: skip


def everything(dlv: Dlv) -> set[str]:
    return {leg.id for leg in dlv.legs}


def members(dlv: Dlv) -> set[str]:
    return {leg.id for leg in dlv.legs if leg.in_sync}


def used(mirrors: int = 2, without: tuple[str, ...] = ()) -> Dlv:
    """A dlv that was attached and detached in order, after `without` left their sets."""
    dlv = make_dlv(mirrors)
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    if without:
        dlv = in_sync.shrink(dlv, "h", dlv.epoch, without).dlv
    return in_sync.detach(dlv, "h", dlv.epoch).dlv


def test_legs_are_declared_alike_once_only() -> None:
    dlv = make_dlv()
    first = in_sync.attach(dlv, "h", everything(dlv))
    assert first.assemblies == (
        Assembly(META, ("m0", "m1"), (), "nosync"),
        Assembly(DATA, ("d0", "d1"), (), "nosync"),
    )
    assert first.dlv.attachment == Attachment(ihost="h", epoch=2)
    assert first.dlv.epoch == 2
    again = in_sync.detach(first.dlv, "h", 2).dlv
    assert {each.bits for each in in_sync.attach(again, "h", everything(dlv)).assemblies} == {"clean"}


def test_after_an_unclean_stop_one_leg_is_the_truth() -> None:
    dlv = make_dlv(3)
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    dlv = in_sync.detach_fenced(dlv, everything(dlv)).dlv
    assert members(dlv) == everything(dlv)
    change = in_sync.attach(dlv, "other", everything(dlv))
    assert change.assemblies[1] == Assembly(DATA, ("d0",), ("d1", "d2"), "dirty")
    assert members(change.dlv) == {"m0", "d0"}


def test_a_leg_that_is_away_at_attach_leaves_its_set() -> None:
    change = in_sync.attach(used(), "h", {"m0", "m1", "d1"})
    assert members(change.dlv) == {"m0", "m1", "d1"}
    assert change.assemblies[1] == Assembly(DATA, ("d1",), (), "clean")


def test_a_leg_that_missed_writes_before_is_copied_in_full_when_it_returns() -> None:
    dlv = used(without=("d0",))
    change = in_sync.attach(dlv, "h", everything(dlv) - {"d0"})
    assert change.assemblies[1] == Assembly(DATA, ("d1",), (), "dirty")


def test_a_leg_outside_of_the_set_is_copied_to_and_never_a_source() -> None:
    dlv = used(without=("d0",))
    change = in_sync.attach(dlv, "h", everything(dlv))
    assert change.assemblies[1] == Assembly(DATA, ("d1",), ("d0",), "dirty")


def test_a_leg_that_returns_is_not_read_when_the_others_are_away() -> None:
    """The worst case of the original: a leg away at attach, writes, the other leg lost, the first one back."""
    dlv = used()
    dlv = in_sync.attach(dlv, "h", everything(dlv) - {"d0"}).dlv
    dlv = in_sync.detach_fenced(dlv, everything(dlv) - {"d0"}).dlv
    with pytest.raises(RefusedError, match=r"g1\.s0.*none of the legs"):
        in_sync.attach(dlv, "h", everything(dlv) - {"d1"})


def test_who_is_attached_stays_so() -> None:
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    with pytest.raises(BusyError, match="attached to h"):
        in_sync.attach(dlv, "other", everything(dlv))


def test_a_lost_leg_leaves_and_the_kernel_notes_what_it_misses() -> None:
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    change = in_sync.shrink(dlv, "h", dlv.epoch, ["d0"])
    assert change.assemblies == (Assembly(DATA, ("d1",), (), "kept"),)
    assert members(change.dlv) == {"m0", "m1", "d1"}
    back = in_sync.readmit(change.dlv, "h", change.dlv.epoch, "d0", noted=True)
    assert back.assemblies == (Assembly(DATA, ("d1",), ("d0",), "kept"),)
    assert in_sync.readmit(change.dlv, "h", change.dlv.epoch, "d0", noted=False).assemblies[0].bits == "dirty"


def test_a_set_is_never_empty() -> None:
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    with pytest.raises(RefusedError, match="would have no leg"):
        in_sync.shrink(dlv, "h", dlv.epoch, ["d0", "d1"])


def test_a_late_word_of_a_finished_copy_counts_no_more_once_the_leg_was_lost() -> None:
    dlv = used(without=("d0",))
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    told = dlv.epoch
    dlv = in_sync.shrink(dlv, "h", told, ["d0"]).dlv
    with pytest.raises(MismatchError):
        in_sync.grow(dlv, "h", told, ["d0"])
    assert members(dlv) == {"m0", "m1", "d1"}


def test_a_copied_leg_joins() -> None:
    dlv = used(without=("d0",))
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    grown = in_sync.grow(dlv, "h", dlv.epoch, ["d0"]).dlv
    assert members(grown) == everything(dlv)
    assert grown.epoch == dlv.epoch + 1
    assert in_sync.grow(grown, "h", grown.epoch, ["d0"]).dlv == grown


@pytest.mark.parametrize(("ihost", "behind"), [("other", 0), ("h", 1), ("h", -1)])
def test_only_the_holder_in_the_present_epoch_changes_anything(ihost: str, behind: int) -> None:
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    epoch = dlv.epoch - behind
    changes: list[Callable[[], object]] = [
        lambda: in_sync.shrink(dlv, ihost, epoch, ["d0"]),
        lambda: in_sync.grow(dlv, ihost, epoch, ["d0"]),
        lambda: in_sync.readmit(dlv, ihost, epoch, "d0", noted=False),
        lambda: in_sync.begin(dlv, ihost, epoch, ()),
        lambda: in_sync.detach(dlv, ihost, epoch),
    ]
    for change in changes:
        with pytest.raises(MismatchError, match="epoch 2 with h"):
            change()


def test_legs_of_others_are_refused() -> None:
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    with pytest.raises(UsageError, match="no leg of dlv db"):
        in_sync.shrink(dlv, "h", dlv.epoch, ["d9"])


def test_by_force_a_leg_that_was_not_shut_leaves_its_set() -> None:
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    after = in_sync.detach_fenced(dlv, everything(dlv) - {"d0"}).dlv
    assert members(after) == {"m0", "m1", "d1"}
    assert after.attachment is None
    with pytest.raises(RefusedError, match="may still be writing"):
        in_sync.detach_fenced(dlv, {"m0", "m1"})
    with pytest.raises(UsageError, match="not attached"):
        in_sync.detach_fenced(after, everything(dlv))


def test_by_force_a_blank_group_holds_nothing_up() -> None:
    """Its ihost has no table of it: nothing can be written there, whoever is let in."""
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    old, added = everything(dlv), Group(number=2, role="data", stripes=1, extents=4)
    legs = [Leg(id=f"x{place}", group=2, stripe=0, place=place, dpv=f"x{place}", extents=4) for place in range(2)]
    dlv = in_sync.extend(dlv, added, legs).dlv
    after = in_sync.detach_fenced(dlv, old).dlv
    assert (after.attachment, members(after)) == (None, {*old, "x0", "x1"})


def test_a_group_that_is_added_while_attached_is_begun_once() -> None:
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    group = Group(number=2, role="data", stripes=1, extents=4)
    legs = [Leg(id=f"n{place}", group=2, stripe=0, place=place, dpv=f"d{place}", extents=4) for place in range(2)]
    dlv = in_sync.extend(dlv, group, legs).dlv
    change = in_sync.begin(dlv, "h", dlv.epoch, everything(dlv))
    assert change.assemblies == (Assembly(MirrorKey(2, 0), ("n0", "n1"), (), "nosync"),)
    again = in_sync.begin(change.dlv, "h", change.dlv.epoch, everything(dlv))
    assert again == (change.dlv, ())
    with pytest.raises(UsageError, match="next group of dlv db is 3"):
        in_sync.extend(dlv, group, legs)


def add_group(dlv: Dlv, number: int, role: Role = "data") -> Dlv:
    group = Group(number=number, role=role, stripes=1, extents=4)
    legs = [
        Leg(id=f"{number}n{at}", group=number, stripe=0, place=at, dpv=f"d{at}", extents=4) for at in range(dlv.mirrors)
    ]
    return in_sync.extend(dlv, group, legs).dlv


def test_groups_of_a_role_are_begun_in_their_order() -> None:
    """They follow one another below the pool: one that came in between would move what is written."""
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    dlv = add_group(add_group(add_group(dlv, 2), 3), 4, "metadata")
    away = everything(dlv) - {"2n0", "2n1"}
    for change in (
        in_sync.begin(dlv, "h", dlv.epoch, away),
        in_sync.begin(dlv, "h", dlv.epoch, everything(dlv), held=[2]),
    ):
        assert [each.mirror.group for each in change.assemblies] == [4]
        assert [group.number for group in change.dlv.groups if group.blank] == [2, 3]
    both = in_sync.begin(dlv, "h", dlv.epoch, everything(dlv))
    assert [each.mirror.group for each in both.assemblies] == [2, 3, 4]


def test_a_leg_that_is_away_when_its_group_is_begun_leaves_its_set() -> None:
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    dlv = in_sync.shrink(dlv, "h", dlv.epoch, ["d0"]).dlv
    dlv = add_group(dlv, 2)
    change = in_sync.begin(dlv, "h", dlv.epoch, everything(dlv) - {"2n1"})
    assert change.assemblies == (Assembly(MirrorKey(2, 0), ("2n0",), (), "nosync"),)
    assert members(change.dlv) == {"m0", "m1", "d1", "2n0"}
    assert {leg.id for leg in change.dlv.legs if leg.noted} == {"d0", "2n1"}


def test_a_blank_group_that_cannot_be_reached_keeps_nobody_from_attaching() -> None:
    dlv = add_group(used(), 2)
    change = in_sync.attach(dlv, "h", everything(dlv) - {"2n0", "2n1"})
    assert [each.mirror for each in change.assemblies] == [META, DATA]
    assert [group.blank for group in change.dlv.groups] == [False, False, True]
    assert members(change.dlv) == everything(dlv)
    assert not any(leg.noted or leg.copying for leg in change.dlv.legs)
    begun = in_sync.begin(change.dlv, "h", change.dlv.epoch, everything(dlv))
    assert [each.mirror.group for each in begun.assemblies] == [2]


def test_a_blank_leg_is_exchanged_and_stays_in_its_set() -> None:
    dlv = add_group(used(), 2)
    new = replace(dlv.legs[-1], id="new", dpv="d7", in_sync=False)
    after = in_sync.exchange(dlv, "2n1", new).dlv
    assert [(leg.id, leg.in_sync) for leg in after.legs_of(MirrorKey(2, 0))] == [("2n0", True), ("new", True)]


def status_of(dlv: Dlv) -> dict[str, str]:
    return {leg.id: leg.status for leg in dlv.legs}


def made(dlv: Dlv) -> Dlv:
    return replace(dlv, legs=tuple(replace(leg, status="ready") for leg in dlv.legs))


def test_a_leg_whose_disk_was_replaced_is_out_of_its_set_and_made_anew() -> None:
    dlv = made(used())
    after, assemblies = in_sync.remake(dlv, ["d0"])
    assert (members(after), assemblies, after.epoch) == ({"m0", "m1", "d1"}, (), dlv.epoch + 1)
    assert status_of(after) == {"m0": "ready", "m1": "ready", "d0": "creating", "d1": "ready"}
    here = in_sync.attach(dlv, "h", everything(dlv)).dlv
    after, assemblies = in_sync.remake(here, ["d0"])
    assert assemblies == (Assembly(DATA, ("d1",), (), "kept"),)
    assert (members(after), after.attachment) == ({"m0", "m1", "d1"}, here.attachment)
    assert not any(leg.noted for leg in after.legs), "no log knows all that an empty leg lacks"


def test_the_last_leg_of_a_set_is_never_taken_for_an_empty_one() -> None:
    dlv = made(used(without=("d0",)))
    assert in_sync.remake(dlv, ["d1"]) == (dlv, ())
    after = in_sync.remake(dlv, ["d1", "m1"]).dlv
    assert (members(after), status_of(after)["d1"]) == ({"m0", "d1"}, "ready")
    both = made(used())
    assert in_sync.remake(both, ["d0", "d1"]) == (both, ())


def test_a_blank_leg_that_is_gone_is_made_anew_in_its_set() -> None:
    dlv = made(make_dlv())
    after = in_sync.remake(dlv, ["d0", "d1"]).dlv
    assert (members(after), status_of(after)["d0"]) == (everything(dlv), "creating")


def test_a_source_and_a_target_that_are_gone_are_made_anew_one_after_the_other() -> None:
    """The copy goes on above the source until that was swapped."""
    dlv = made(used(3, without=("d0",)))
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    after, assemblies = in_sync.remake(dlv, ["d0", "d1"])
    assert assemblies == (Assembly(DATA, ("d2",), ("d0",), "kept"),)
    assert (status_of(after)["d0"], status_of(after)["d1"]) == ("ready", "creating")
    after, assemblies = in_sync.remake(after, ["d0"])
    assert assemblies == (Assembly(DATA, ("d2",), (), "dirty"),)
    assert (status_of(after)["d0"], members(after)) == ("creating", {"m0", "m1", "m2", "d2"})


def test_an_epoch_that_was_never_recorded_is_overtaken_without_the_legs_of_who_knows_it() -> None:
    dlv = used(without=("d0",))
    after = in_sync.overtake(dlv, 20, ["m0", "d0"]).dlv
    assert (after.epoch, members(after)) == (21, {"m1", "d1"})
    assert in_sync.attach(after, "h", everything(dlv) - {"m0", "d0"}).assemblies == (
        Assembly(META, ("m1",), (), "dirty"),
        Assembly(DATA, ("d1",), (), "dirty"),
    )
    with pytest.raises(RefusedError, match="has no other leg"):
        in_sync.overtake(dlv, 20, ["d1"])


def test_what_an_ihost_may_have_written_to_is_neither_clean_nor_blank() -> None:
    legs = tuple(replace(leg, status="ready") for leg in used().legs)
    groups = tuple(replace(group, blank=True) for group in used().groups)
    dlv = replace(used(), attachment=None, clean=True, legs=legs, groups=groups)
    assert in_sync.overtake(dlv, 20, []).dlv.clean
    after = in_sync.overtake(dlv, 20, [], was_written=True).dlv
    assert (after.epoch, after.clean, members(after)) == (21, False, members(dlv))
    assert not any(group.blank for group in after.groups)


def test_a_leg_is_exchanged_only_when_it_is_in_no_set() -> None:
    dlv = used(without=("d0",))
    new = replace(dlv.legs_of(DATA)[0], id="new", dpv="d7")
    after = in_sync.exchange(dlv, "d0", new).dlv
    assert [(leg.id, leg.in_sync) for leg in after.legs_of(DATA)] == [("new", False), ("d1", True)]
    with pytest.raises(RefusedError, match="shrink its set first"):
        in_sync.exchange(dlv, "d1", replace(new, place=1))
    with pytest.raises(UsageError, match="not of the place"):
        in_sync.exchange(dlv, "d0", replace(new, extents=3))


def test_what_is_recorded_tells_how_the_mirrors_stand() -> None:
    dlv = used(3, without=("d0",))
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    assert in_sync.standing(dlv)[1] == Assembly(DATA, ("d1", "d2"), ("d0",), "dirty")
    lost = in_sync.shrink(dlv, "h", dlv.epoch, ["d1"]).dlv
    assert in_sync.standing(lost)[1] == Assembly(DATA, ("d2",), ("d0",), "dirty"), "the copy goes on above its source"
    ended = in_sync.shrink(dlv, "h", dlv.epoch, ["d0"]).dlv
    assert in_sync.standing(ended)[1] == Assembly(DATA, ("d1", "d2"), (), "clean"), "the copy ended with its target"
    dlv = in_sync.grow(dlv, "h", dlv.epoch, ["d0"]).dlv
    assert in_sync.standing(dlv)[1] == Assembly(DATA, ("d0", "d1", "d2"), (), "clean")


def test_only_who_is_copied_to_joins() -> None:
    dlv = used(without=("d0",))
    dlv = in_sync.attach(dlv, "h", everything(dlv) - {"d0"}).dlv
    with pytest.raises(MismatchError, match="copies to other legs"):
        in_sync.grow(dlv, "h", dlv.epoch, ["d0"])


def test_one_leg_of_a_mirror_is_copied_to_at_a_time() -> None:
    dlv = used(3, without=("d0", "d1"))
    dlv = in_sync.attach(dlv, "h", everything(dlv) - {"d0", "d1"}).dlv
    dlv = in_sync.readmit(dlv, "h", dlv.epoch, "d0", noted=False).dlv
    with pytest.raises(BusyError, match="is copying"):
        in_sync.readmit(dlv, "h", dlv.epoch, "d1", noted=False)


def test_a_table_with_several_sources_never_goes_on_with_a_log() -> None:
    """What is unclean on it would be written to the first leg alone, although the others count."""
    dlv = make_dlv(3)
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    lost = in_sync.shrink(dlv, "h", dlv.epoch, ["d2"])
    assert lost.assemblies == (Assembly(DATA, ("d0", "d1"), (), "clean"),)
    copying = in_sync.readmit(lost.dlv, "h", lost.dlv.epoch, "d2", noted=False).dlv
    both = in_sync.shrink(copying, "h", copying.epoch, ["d0", "d2"])
    assert both.assemblies == (Assembly(DATA, ("d1",), ("d2",), "kept"),), "sources first: they hold what is above"
    again = in_sync.shrink(both.dlv, "h", both.dlv.epoch, ["d2"])
    assert again.assemblies == (Assembly(DATA, ("d1",), (), "dirty"),), "the log of two knows nothing of the third"


def test_a_leg_of_which_no_log_knows_all_is_copied_in_full_whoever_tells_it() -> None:
    """Whoever recorded that it is copied to may have ended before the ihost was told."""
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    dlv = in_sync.shrink(dlv, "h", dlv.epoch, ["d0", "m0"]).dlv
    assert {leg.id for leg in dlv.legs if leg.noted} == {"d0", "m0"}
    dlv = in_sync.exchange(dlv, "d0", replace(dlv.legs_of(DATA)[0], id="new", dpv="d7", noted=False)).dlv
    for leg, bits in (("new", "dirty"), ("m0", "kept")):
        found = next(each for each in dlv.legs if each.id == leg)
        change = in_sync.readmit(dlv, "h", dlv.epoch, leg, noted=found.noted)
        assert change.assemblies[0].bits == bits
        assert change.assemblies[0] in in_sync.standing(change.dlv)


def test_logs_of_mirrors_that_the_ihost_does_not_have_begin_anew() -> None:
    dlv = in_sync.attach(used(), "h", {"m0", "m1", "d1"}).dlv
    assert [each.bits for each in in_sync.standing(dlv)] == ["clean", "kept"]
    assert [each.bits for each in in_sync.standing(dlv, [META, DATA])] == ["clean", "dirty"]


def test_a_group_that_is_not_begun_is_in_no_table() -> None:
    dlv = make_dlv()
    dlv = in_sync.attach(dlv, "h", everything(dlv)).dlv
    before = ihost_state(dlv, {each.mirror: each for each in in_sync.standing(dlv)})
    group = Group(number=2, role="data", stripes=1, extents=4)
    legs = [Leg(id=f"n{place}", group=2, stripe=0, place=place, dpv=f"d{place}", extents=4) for place in range(2)]
    dlv = in_sync.extend(dlv, group, legs).dlv
    assert ihost_state(dlv, {each.mirror: each for each in in_sync.standing(dlv)}) == before


def test_what_an_older_copy_must_not_count_past_has_an_epoch_of_its_own() -> None:
    """An attachment, a leg that leaves its set, attached or not, a group that comes into use; and nothing else."""
    blank = make_dlv()
    attached = in_sync.attach(blank, "h", everything(blank)).dlv
    new = Leg(id="d2", group=1, stripe=0, place=2, dpv="d2", extents=4, instead_of="d0")
    added = in_sync.add_successor(attached, new).dlv
    copying = in_sync.readmit(added, "h", added.epoch, "d2", noted=False).dlv
    joined = in_sync.grow(copying, "h", copying.epoch, ["d2"]).dlv
    for same in (attached, added, copying, joined, free := in_sync.detach(joined, "h", joined.epoch).dlv):
        assert same.set_epoch == attached.epoch
    group = Group(number=2, role="data", stripes=1, extents=4)
    leg = Leg(id="e0", group=2, stripe=0, place=0, dpv="d0", extents=4)
    extended = in_sync.extend(joined, group, [leg]).dlv
    assert extended.set_epoch == attached.epoch
    for other in (
        attached,
        in_sync.retire(free, "d0").dlv,
        in_sync.shrink(joined, "h", joined.epoch, ["d0"]).dlv,
        in_sync.begin(extended, "h", extended.epoch, {"e0"}).dlv,
        in_sync.overtake(free, 40, []).dlv,
    ):
        assert other.set_epoch == other.epoch
