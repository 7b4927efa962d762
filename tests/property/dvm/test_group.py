"""Random lives of a volume group, against a model of what is stored where.

The model writes a token at the beginning of every extent of every volume, finds the place by following the tables that
`volactivate` makes, and expects it there after every mutator: whatever is moved, mirrored, cached, extended or renamed.
Every state is compiled by `dmactivate` and run on the simulated kernel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from drystone.base.documents import encode
from drystone.base.errors import ExhaustedError, RefusedError, UsageError
from drystone.dvm.discovery.devices import GroupDevice, Span
from drystone.dvm.dmactivate import activate as compile_program
from drystone.dvm.groups.allocation import POLICIES, free_extents, free_room
from drystone.dvm.groups.group import Group, Index, device_name, visible
from drystone.dvm.groups.kinds import AnyVolume, Cache, Era, Linear, Raid1, Raid5, Snapshot, Striped, Thin, ThinPool
from drystone.dvm.groups.rules import parse_group
from drystone.dvm.metadata import devices, layers, move, names, raid, size, snapshot, thin
from drystone.dvm.metadata.create import Wish, create
from drystone.dvm.metadata.edit import seeded_ids
from drystone.dvm.metadata.remove import remove
from drystone.dvm.planning.progress import merged_snapshots
from drystone.dvm.reports.live import observe as observe_live
from drystone.dvm.state import Line, State, observe
from drystone.dvm.volactivate import activate, blanks, pools_with_messages
from drystone.kernel.dm.abc import DeviceNumber, TableLine
from drystone.kernel.dm.simulated import SimulatedDeviceMapper
from drystone.kernel.dm.targets import Cache as CacheTarget
from drystone.kernel.dm.targets import Era as EraTarget
from drystone.kernel.dm.targets import Leg, Mirror, Raid, SnapshotMerge, SnapshotOrigin, parse_target
from drystone.kernel.dm.targets import Linear as LinearTarget
from drystone.kernel.dm.targets import Striped as StripedTarget
from drystone.testing.faults import FaultyDeviceMapper, Killed, kill_at
from drystone.testing.program_bench import converge, is_at, run

EXTENT = 256 << 10
SECTORS = EXTENT // 512
DISKS = 5
EXTENTS = 150
DISK_SIZE = (2 << 20) + EXTENTS * EXTENT
PATHS = {f"disk{at}": f"7:{at}" for at in range(DISKS)}

SOLID = (Linear, Striped, Raid1, Raid5, Cache, Era)
"""Kinds that can be laid below others."""

Place = tuple[str, int]
"""A disk and a sector of it."""

policies = st.sampled_from(sorted(POLICIES))
sizes = st.builds(lambda count, odd: count * EXTENT - odd, st.integers(1, 30), st.sampled_from([0, 1, 5000]))
kinds = st.sampled_from(["linear", "linear", "striped", "raid1", "raid5", "raid6", "raid10"])


def places(state: State, name: str, sector: int) -> list[Place] | None:
    """Where a sector of a device is stored, the one that is read first; None where that is not for tables to say."""
    device = state.find(name)
    assert device is not None, name
    line = next(each for each in device.table if each.start <= sector < each.start + each.length)
    found: list[Place] = []
    for leg in legs_of(line, sector - line.start) or ():
        if leg.device.startswith("{"):
            below = places(state, leg.device.strip("{}"), leg.offset)
            if below is None:
                return None
            found += below
        else:
            found.append((leg.device, leg.offset))
    return found or None


def legs_of(line: Line, at: int) -> list[Leg] | None:
    """The places of sector `at` of a target, as its table says; None for raid with parity and thin devices."""
    match parse_target(TableLine(line.start, line.length, line.target, line.params)):
        case LinearTarget(device, offset):
            return [Leg(device, offset + at)]
        case StripedTarget(chunk, legs):
            number, rest = divmod(at, chunk)
            leg = legs[number % len(legs)]
            return [Leg(leg.device, leg.offset + number // len(legs) * chunk + rest)]
        case Mirror(legs=legs):
            return [Leg(leg.device, leg.offset + at) for leg in legs]
        case Raid(level="raid1", legs=legs):
            return [Leg(leg.data, at) for leg in legs]
        case CacheTarget(origin=origin) | EraTarget(origin=origin):
            return [Leg(origin, at)]
        case SnapshotOrigin(device) | SnapshotMerge(origin=device):
            return [Leg(device, at)]
    return None


class Lives(RuleBasedStateMachine):
    """One group. `contents`: tokens by place."""

    @initialize()
    def begin(self) -> None:
        self.ids = seeded_ids("lives")
        found = [GroupDevice(f"disk{at}", f"/dev/disk{at}", DISK_SIZE, regions=(Span(1, 257),)) for at in range(DISKS)]
        self.group = devices.new_group("vg-x", found, self.ids, extent_size=EXTENT)
        assert all(disk.extents == EXTENTS for disk in self.group.devices)
        self.dm = SimulatedDeviceMapper({DeviceNumber(7, at): DISK_SIZE // 512 for at in range(DISKS)})
        self.state = State()
        self.contents: dict[Place, tuple[str, int]] = {}
        self.count = self.killed_at = 0
        for kind in ("linear", "linear", "striped", "raid1"):
            self.create(kind, 12 * EXTENT - 7, 0, "anywhere")

    # ------------------------------------------------------------------ the model

    def change(self, mutate: Callable[[Group], Group]) -> bool:
        """Take a step; when it is refused, nothing has changed."""
        before = encode(self.group)
        try:
            after = mutate(self.group)
        except (UsageError, ExhaustedError, RefusedError):
            assert encode(self.group) == before
            return False
        self.accept(after)
        return True

    def accept(self, after: Group) -> None:
        assert parse_group(encode(after)) == after
        for blank in blanks(self.group, after, PATHS):
            disk = DeviceNumber.parse(blank.path)
            self.dm.write(disk, blank.offset // 512, blank.length // 512, zeros=True)
        activation = activate(after, PATHS)
        assert not activation.left_out
        assert not activation.degraded
        if self.killed_at:
            program = compile_program(observe(self.dm), activation.state)
            with contextlib.suppress(Killed):
                run(FaultyDeviceMapper(self.dm, kill_at(self.killed_at)), program)
            self.killed_at = 0
        converge(self.dm, activation.state)
        old, self.group, self.state = self.group, after, activation.state
        self.expect(old)

    def expect(self, old: Group) -> None:
        """What was there is still there; what is new is written; mirrors copy."""
        was = {volume.uuid: volume.size for volume in old.volumes}
        for volume in self.shown():
            name = device_name(self.group.name, volume.name)
            device = self.state.find(name)
            assert device is not None
            assert device.length * 512 == volume.size
            for at in range(volume.size // EXTENT):
                found = places(self.state, name, at * SECTORS)
                if found is None or isinstance(volume, Snapshot):
                    break
                if at * EXTENT < was.get(volume.uuid, 0):
                    assert self.contents[found[0]] == (volume.uuid, at), (volume.name, at, found)
                for place in found:
                    self.contents[place] = (volume.uuid, at)

    def copy_what_moves(self) -> None:
        """The kernel's records go along: the simulated mirror writes to its first leg alone."""
        index, contents = Index(self.group), self.dm.machine.contents
        for moved in [each for volume in self.group.volumes for each in volume.runs() if each.to is not None]:
            assert moved.to is not None
            first, goal = (
                index.devices[place.device].start // 512 + place.begin * SECTORS for place in (moved, moved.to)
            )
            source, target = (DeviceNumber.parse(PATHS[place.device]) for place in (moved, moved.to))
            for (number, sector), content in list(contents.items()):
                if number == source and first <= sector < first + moved.count * SECTORS:
                    contents[target, sector - first + goal] = content

    def some(self, data: st.DataObject, *kinds: type) -> str | None:
        chosen = [each.name for each in visible(self.group) if not kinds or isinstance(each, kinds)]
        return data.draw(st.sampled_from(chosen)) if chosen else None

    def shown(self) -> list[AnyVolume]:
        """The volumes that have devices."""
        return [each for each in visible(self.group) if not (isinstance(each, Snapshot) and each.merging)]

    def volume(self, name: str) -> AnyVolume:
        return Index(self.group).find(name)

    def new_name(self) -> str:
        self.count += 1
        return f"v-{self.count}"

    def free(self) -> int:
        return sum(map(free_extents, free_room(self.group).values()))

    # ------------------------------------------------------------------ rules

    @rule(kind=kinds, size_=sizes, legs=st.integers(0, 4), policy=policies)
    def create(self, kind: str, size_: int, legs: int, policy: str) -> None:
        room, wanted = self.free(), -(-size_ // EXTENT)
        wish = Wish(self.new_name(), size_, 0 if kind == "linear" else legs, 4096, policy)
        done = self.change(lambda group: create(group, wish, self.ids, kind))
        if kind == "linear" and policy in {"anywhere", "spread"}:
            assert done == (wanted <= room)
        if done:
            assert self.volume(wish.name).size >= size_
            assert self.free() < room

    @rule(data=st.data(), by=sizes, policy=policies)
    def extend(self, data: st.DataObject, by: int, policy: str) -> None:
        name = self.some(data)
        if name is not None:
            before = self.volume(name).size
            if self.change(lambda group: size.extend(group, name, by=by, policy=policy)):
                assert self.volume(name).size >= before + by

    @rule(data=st.data(), parts=st.integers(1, 9))
    def reduce(self, data: st.DataObject, parts: int) -> None:
        name = self.some(data)
        if name is not None:
            before = self.volume(name).size
            by = before * parts // 10
            if self.change(lambda group: size.reduce(group, name, by=by, lose_data=True)):
                assert before - by <= self.volume(name).size < before

    @rule(data=st.data(), by=sizes, policy=policies)
    def extend_and_reduce(self, data: st.DataObject, by: int, policy: str) -> None:
        name = self.some(data, Linear, Striped, Raid1)
        if name is None:
            return
        before = self.volume(name)
        runs = list(Index(self.group).runs(before))
        if self.change(lambda group: size.extend(group, name, by=by, policy=policy)):
            assert self.change(lambda group: size.reduce(group, name, size=before.size, lose_data=True))
            assert self.volume(name).size == before.size
            if isinstance(before, Linear):
                assert self.volume(name) == before
            assert sum(run.count for run in Index(self.group).runs(self.volume(name))) == sum(run.count for run in runs)

    @rule(data=st.data())
    def rename_and_tag(self, data: st.DataObject) -> None:
        name, new = self.some(data), self.new_name()
        if name is not None:
            assert self.change(lambda group: names.rename(group, name, new))
            assert self.change(lambda group: names.tag(group, new, add=["fast", "fast"]))
            assert self.volume(new).tags == ("fast",)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        name = self.some(data)
        if name is not None:
            used = sum(place.count for run in Index(self.group).runs(self.volume(name)) for place in run.places())
            room = self.free()
            if self.change(lambda group: remove(group, [name])):
                assert self.free() == room + used

    @rule(size_=sizes)
    def thin_pool(self, size_: int) -> None:
        name = self.new_name()
        self.change(lambda group: thin.thin_pool(group, name, size_, self.ids))

    @rule(data=st.data(), size_=sizes)
    def thin(self, data: st.DataObject, size_: int) -> None:
        pool, pair = self.some(data, ThinPool), [self.new_name(), self.new_name()]
        if pool is not None:
            assert self.change(lambda group: thin.thin(group, pool, pair, size_, self.ids))

    @rule(data=st.data(), size_=sizes)
    def snapshot(self, data: st.DataObject, size_: int) -> None:
        origin, name = self.some(data), self.new_name()
        if origin is not None:
            room = None if isinstance(self.volume(origin), Thin) else size_
            self.change(lambda group: snapshot.snapshot(group, origin, name, self.ids, size=room))

    @rule(data=st.data(), legs=st.integers(2, 3))
    def mirror(self, data: st.DataObject, legs: int) -> None:
        name = self.some(data, Linear)
        if name is not None:
            self.change(lambda group: raid.mirror(group, name, self.ids, legs=legs))

    @rule(data=st.data(), keep=st.integers(0, 1))
    def unmirror(self, data: st.DataObject, keep: int) -> None:
        name = self.some(data, Raid1)
        if name is not None:
            assert self.change(lambda group: raid.unmirror(group, name, keep=keep))

    @rule(data=st.data(), count=st.integers(1, 2))
    def add_legs(self, data: st.DataObject, count: int) -> None:
        name = self.some(data, Raid1)
        if name is not None and self.change(lambda group: raid.add_legs(group, name, self.ids, count=count)):
            volume = self.volume(name)
            assert isinstance(volume, Raid1)
            assert [leg.rebuild for leg in volume.legs[-count:]] == [True] * count
            assert self.change(lambda group: raid.settled(group, name))

    @rule(data=st.data(), at=st.integers(0, 3))
    def drop_a_leg(self, data: st.DataObject, at: int) -> None:
        name = self.some(data, Raid1)
        if name is not None:
            before = self.volume(name)
            assert isinstance(before, Raid1)
            done = self.change(lambda group: raid.drop_legs(group, name, [at]))
            assert done == (at < len(before.legs) > 2)

    @rule(data=st.data())
    def merge(self, data: st.DataObject) -> None:
        name = self.some(data, Snapshot)
        if name is not None:
            self.change(lambda group: snapshot.begin_merge(group, name))

    @precondition(lambda self: any(isinstance(volume, Snapshot) and volume.merging for volume in self.group.volumes))
    @rule()
    def finish_merges(self) -> None:
        live = observe_live(self.dm, self.group)
        merging = {each.name for each in self.group.volumes if isinstance(each, Snapshot) and each.merging}
        assert merged_snapshots(self.group, live) == merging
        assert self.change(lambda group: snapshot.finish_merge(group, merging))
        assert not any(isinstance(volume, Snapshot) and volume.merging for volume in self.group.volumes)

    @rule(data=st.data())
    def rollback(self, data: st.DataObject) -> None:
        name, source = self.some(data, Thin), self.some(data, Thin)
        if name is not None and source is not None and self.change(lambda group: thin.rollback(group, name, source)):
            assert self.volume(name).size == self.volume(source).size

    @rule(data=st.data(), size_=sizes)
    def cache(self, data: st.DataObject, size_: int) -> None:
        name = self.some(data, *SOLID, Thin)
        if name is not None:
            self.change(lambda group: layers.cache(group, name, size_, self.ids))

    @rule(data=st.data())
    def era(self, data: st.DataObject) -> None:
        name = self.some(data, *SOLID, Thin)
        if name is not None:
            self.change(lambda group: layers.era(group, name, self.ids))

    @rule(data=st.data())
    def uncover(self, data: st.DataObject) -> None:
        name = self.some(data, Cache, Era)
        if name is not None:
            take = layers.uncache if isinstance(self.volume(name), Cache) else layers.unera
            assert self.change(lambda group: take(group, name))

    @rule(data=st.data(), policy=policies)
    def begin_move(self, data: st.DataObject, policy: str) -> None:
        staying = {run.device for volume in self.group.volumes for run in volume.runs() if run.to is None}
        if staying:
            source = data.draw(st.sampled_from(sorted(staying)))
            self.change(lambda group: move.begin(group, source, policy=policy))

    @precondition(lambda self: any(run.to for volume in self.group.volumes for run in volume.runs()))
    @rule(aborted=st.booleans())
    def end_move(self, aborted: bool) -> None:
        end = move.abort if aborted else lambda group: move.finish(group, None)
        if not aborted:
            self.copy_what_moves()
        assert self.change(end)
        assert not any(run.to for volume in self.group.volumes for run in volume.runs())

    @rule(call=st.integers(1, 40))
    def be_killed_at_the_next_change(self, call: int) -> None:
        self.killed_at = call

    @rule()
    def restart(self) -> None:
        self.dm = self.dm.reboot()
        for pools in range(len(pools_with_messages(self.group)) + 1):
            converge(self.dm, activate(self.group, PATHS, pools=pools).state)
        assert is_at(self.dm, self.state)

    @rule(lost=st.sampled_from(sorted(PATHS)))
    def restart_without_a_disk(self, lost: str) -> None:
        """What can be whole is there, holds what it held, and does not touch the disk; the rest is named."""
        there = {uuid: path for uuid, path in PATHS.items() if uuid != lost}
        activation = activate(self.group, there)
        state = activation.state
        assert all(PATHS[lost] not in line.params.split() for device in state.devices for line in device.table)
        dm = self.dm.reboot()
        waiting = len(pools_with_messages(self.group))
        for pools in range(waiting + 1):
            converge(dm, activate(self.group, there, pools=pools).state)
        assert is_at(dm, state)
        left_out = {each.name for each in activation.left_out}
        index = Index(self.group)
        for volume in self.shown():
            assert (state.find(device_name(self.group.name, volume.name)) is None) == (volume.name in left_out)
            if isinstance(volume, Linear | Striped) and volume.name not in left_out:
                assert lost not in {run.device for run in volume.runs()}
            if isinstance(volume, Raid1) and not any(isinstance(user, Snapshot) for user in index.users(volume.uuid)):
                assert volume.name not in left_out, "one disk is one leg at most"

    # ------------------------------------------------------------------ always

    @invariant()
    def space_is_conserved(self) -> None:
        used = [place for volume in self.group.volumes for run in volume.runs() for place in run.places()]
        assert sum(run.count for run in used) + self.free() == DISKS * EXTENTS
        extents = {(run.device, at) for run in used for at in range(run.begin, run.end)}
        assert len(extents) == sum(run.count for run in used)

    def teardown(self) -> None:
        if hasattr(self, "group"):
            self.accept(remove(self.group, [volume.name for volume in visible(self.group)]))
            assert self.free() == DISKS * EXTENTS
            assert not self.state.devices


TestLives = Lives.TestCase
TestLives.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
