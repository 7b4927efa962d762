"""Devices join and leave a group in any order, some while others are away, and every change may be cut short."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from drystone.dvm.discovery.discover import Group, gather
from drystone.dvm.discovery.labelling import Placed, plan_add, plan_finish, plan_remove
from drystone.dvm.discovery.scan import Found
from drystone.formats.label.label import Extent, Label, Reading

SIZE = 1 << 20
PATHS = [f"/dev/{number}" for number in range(5)]


class Labels(RuleBasedStateMachine):
    """`labels`: what is on the devices. `away`: those that nobody can see. `members`: who belongs to the group."""

    def __init__(self) -> None:
        super().__init__()
        self.labels: dict[str, Label] = {}
        self.away: set[str] = set()
        self.members: set[str] = set()

    def look(self) -> Group | None:
        found = [
            Found(path, (), SIZE, Reading(label, "good", "good"))
            for path, label in sorted(self.labels.items())
            if path not in self.away
        ]
        groups = gather(found, lambda _, __: False)
        assert len(groups) <= 1
        return groups[0] if groups else None

    def write(self, placed: Sequence[Placed], most: int) -> bool:
        """Write the first few; whether that were all."""
        for each in placed[:most]:
            assert each.path not in self.away
            self.labels[each.path] = each.label
        return most >= len(placed)

    def finish(self) -> None:
        """What a repeated command does first."""
        group = self.look()
        if group is not None and group.members:
            self.write(plan_finish(group), 100)

    @precondition(lambda self: not self.members or self.members - self.away)
    @rule(paths=st.sets(st.sampled_from(PATHS), min_size=1, max_size=3), most=st.integers(0, 9))
    def add(self, paths: set[str], most: int) -> None:
        self.finish()
        group = self.look()
        new = sorted(path for path in paths if path not in self.labels and path not in self.away)
        if not new:
            return
        placed = plan_add("vg", group, [(path, SIZE) for path in new], [Extent(1, 9)])
        self.write(placed, most)
        self.members |= {path for path in new if path in self.labels}

    @precondition(lambda self: len(self.members - self.away) > 1)
    @rule(which=st.integers(0, 9), most=st.integers(0, 9))
    def remove(self, which: int, most: int) -> None:
        self.finish()
        group = self.look()
        assert group is not None
        going = sorted(self.members)[which % len(self.members)]
        placed = plan_remove(group, self.labels[going].device)
        if self.write(placed, most):
            if going not in self.away:
                del self.labels[going]
            self.members.discard(going)
        elif most:
            # The first label that was written decides: doing it again erases the one that is left.
            self.members.discard(going)
            self.finish()
            if going not in self.away:
                del self.labels[going]

    @precondition(lambda self: len(self.members - self.away) > 1)
    @rule(which=st.integers(0, 9))
    def lose(self, which: int) -> None:
        """What was cut short is finished first: a device of which only its own label knows is not missed."""
        self.finish()
        there = sorted(self.members - self.away)
        self.away.add(there[which % len(there)])

    @precondition(lambda self: self.away)
    @rule()
    def come_back(self) -> None:
        """All at once: then the highest generation knows who has left meanwhile."""
        self.away.clear()
        group = self.look()
        for each in group.left if group is not None else ():
            del self.labels[each.path]

    @invariant()
    def the_group_is_known(self) -> None:
        group = self.look()
        if group is None:
            assert not self.members - self.away
            return
        assert {each.path for each in group.members} == self.members - self.away
        assert set(group.missing) == {self.labels[path].device for path in self.members & self.away}
        assert group.expected == len(self.members)


TestLabels = Labels.TestCase
TestLabels.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
