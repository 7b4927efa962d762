"""What operators and the S3 interface ask of a mapper."""

import msgspec
import pytest

from drystone.base.errors import ExistsError, NotFoundError, RefusedError, UnavailableError, UsageError
from drystone.fleet.documents import Allocation, Key
from drystone.fleet.mapping.mapper import Mapper
from drystone.fleet.mapping.model import FleetChange
from drystone.fleet.mapping.orders import Orders
from drystone.fleet.mapping.rules import Rules
from drystone.fleet.orders import BucketChange, DiskOrder, LeadOrder, NewBucket, VbucketOrder
from drystone.testing.fleet.sketch import Sketch
from drystone.testing.fleet.world.database import MemoryDatabase
from drystone.testing.fleet.world.time import Timeline


def make(servers: int = 3, disks: int = 4) -> tuple[Mapper, Orders]:
    clock = Timeline()
    mapper = Mapper(MemoryDatabase(clock.monotonic), Rules(), clock, id="m", url="http://m")
    mapper.tick()
    sketch = Sketch(servers, disks)
    for server in sketch.servers:
        mapper.heartbeat(msgspec.structs.replace(sketch.beat(server, held=()), uptime=1.0))
    return mapper, Orders(mapper)


def test_buckets_are_made_changed_and_deleted() -> None:
    mapper, orders = make()
    bucket = orders.make_bucket(NewBucket("backups", settings={"versioning": "Enabled"}))
    assert bucket.policy == "shared"
    with pytest.raises(ExistsError):
        orders.make_bucket(NewBucket("backups"))
    changed = orders.change_bucket("backups", BucketChange({"versioning": "", "lock": "on"}, quota=5))
    assert (changed.settings, changed.quota) == ({"lock": "on"}, 5)
    orders.drop_bucket("backups")
    assert mapper.model.buckets == {}
    for action in (lambda: orders.drop_bucket("backups"), lambda: orders.change_bucket("backups", BucketChange())):
        with pytest.raises(NotFoundError):
            action()


@pytest.mark.parametrize("name", ["", "a", "api", "internal", "-ab", "a/b", "a b", "x" * 64, "ü-ü"])
def test_names_that_no_bucket_can_have(name: str) -> None:
    with pytest.raises(UsageError, match="no name for a bucket"):
        make()[1].make_bucket(NewBucket(name))


def test_keys() -> None:
    mapper, orders = make()
    orders.put_key(Key("ACCESS", "long enough", {"*": "admin"}))
    orders.drop_key("ACCESS")
    assert mapper.model.keys == {}
    with pytest.raises(NotFoundError):
        orders.drop_key("ACCESS")
    with pytest.raises(UsageError):
        orders.put_key(Key("A/B", "long enough", {}))
    with pytest.raises(UsageError):
        orders.put_key(Key("ACCESS", "short", {}))


def test_disks_are_marked_one_or_all_of_a_server() -> None:
    mapper, orders = make()
    orders.mark_disk(DiskOrder("s1", "data_2", "bad", "it smells"))
    orders.mark_disk(DiskOrder("s2", "", "draining"))
    marks = {each.disk_id: each.mark for each in mapper.model.disks.values() if each.mark}
    assert marks == {"s1-2": "bad", **{f"s2-{number}": "draining" for number in range(1, 5)}}
    for server, disk in (("s1", "data_9"), ("s9", "")):
        with pytest.raises(NotFoundError):
            orders.mark_disk(DiskOrder(server, disk, "bad"))


def test_who_leads_can_be_ordered() -> None:
    mapper, orders = make()
    orders.make_bucket(NewBucket("ns1"))
    placement = mapper.allocate(Allocation("ns1", "h"))
    other = placement.members[1].server
    after = orders.lead(LeadOrder(placement.id, other))
    assert (after.leader, after.epoch, len(after.in_sync())) == (other, 2, 1)
    with pytest.raises(RefusedError, match="is being compared"):
        orders.lead(LeadOrder(placement.id, placement.leader))
    assert orders.lead(LeadOrder(placement.id, placement.leader, accept_loss=True)).leader == placement.leader
    after = mapper.model.placements[placement.id]
    lacking = msgspec.structs.replace(
        after, members=tuple(msgspec.structs.replace(each, state="copying") for each in after.members)
    )
    mapper.model.put_placement(lacking)
    with pytest.raises(RefusedError, match="may lack acknowledged writes"):
        orders.lead(LeadOrder(placement.id, other))
    third = ({"s1", "s2", "s3"} - {each.server for each in placement.members}).pop()
    with pytest.raises(NotFoundError):
        orders.lead(LeadOrder(placement.id, third))


def test_while_the_map_is_rebuilt_nothing_is_ordered_that_a_disk_may_know_better() -> None:
    mapper, orders = make()
    orders.make_bucket(NewBucket("ns1"))
    placement = mapper.allocate(Allocation("ns1", "h"))
    mapper.commit([FleetChange(mapper.model.fleet, recovering=True, why="the database was put back")])
    other = placement.members[1].server
    for order in (
        lambda: orders.lead(LeadOrder(placement.id, other)),
        lambda: orders.lead(LeadOrder(placement.id, other, accept_loss=True)),
        lambda: orders.end_host(placement.id),
    ):
        with pytest.raises(UnavailableError, match="being rebuilt"):
            order()
    assert mapper.model.placements == {placement.id: placement}
    mapper.end_recovery("an operator says so")
    assert orders.lead(LeadOrder(placement.id, other)).leader == other


def test_vbuckets_are_put_into_groups_a_disk_each() -> None:
    mapper, orders = make()
    order = VbucketOrder("zbase", 10, 32)
    orders.make_groups(order)
    orders.make_groups(order)
    sizes = [len(mapper.model.groups["zbase", f"vb_group_{number}"]) for number in range(4)]
    assert sizes == [10, 10, 10, 2]
    slots = [(member.disk_id, member.slot) for _, member in mapper.model.members()]
    assert len(slots) == len(set(slots)) == 8
    assert mapper.model.buckets["zbase"].policy == "exclusive"


@pytest.mark.parametrize(("per_disk", "total"), [(0, 5), (6, 5), (1, 10**6), (-1, -1)])
def test_numbers_that_make_no_groups(per_disk: int, total: int) -> None:
    with pytest.raises(UsageError):
        make()[1].make_groups(VbucketOrder("zbase", per_disk, total))
