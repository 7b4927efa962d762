"""What operators and the S3 interface ask of a mapper: buckets, keys, disks, leaders, vbuckets."""

from __future__ import annotations

import dataclasses
import re

import msgspec

from drystone.base.errors import ExistsError, NotFoundError, RefusedError, UnavailableError, UsageError
from drystone.fleet import orders
from drystone.fleet.documents import Allocation, Bucket, Key, Member, Placement
from drystone.fleet.mapping.decide import lead
from drystone.fleet.mapping.endings import end
from drystone.fleet.mapping.epochs import measure_leap
from drystone.fleet.mapping.forgotten import recall
from drystone.fleet.mapping.mapper import Mapper
from drystone.fleet.mapping.model import BucketChange, Change, DiskChange, GroupChange, KeyChange
from drystone.fleet.mapping.view import SERVING, View

_BUCKET = re.compile(r"[a-z0-9A-Z][a-z0-9A-Z._-]{1,62}")
_RESERVED = frozenset({"api", "internal", "health", "metrics"})
_MOST_VBUCKETS = 65536
_MOST_MOVES = 100


class Orders:
    """Orders to one mapper, which must lead. Methods raise NotLeadingError and UnavailableError as Mapper's do."""

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper

    def make_bucket(self, wanted: orders.NewBucket) -> Bucket:
        """:raises ExistsError: there is one. :raises UsageError: no name for a bucket."""
        self._mapper.check_leads()
        if not _BUCKET.fullmatch(wanted.name) or wanted.name in _RESERVED:
            raise UsageError(
                f"{wanted.name!r} is no name for a bucket",
                hint="3 to 63 of a-z A-Z 0-9 . _ -, the first a letter or digit",
            )
        if wanted.name in self._mapper.model.buckets:
            raise ExistsError(f"there is a bucket {wanted.name!r} already")
        wall = self._mapper.clock.now().timestamp()
        policy = wanted.policy or self._mapper.rules.policy
        bucket = Bucket(wanted.name, policy, wanted.owner, wall, wanted.quota, wanted.settings)
        self._mapper.commit([BucketChange(bucket, f"made by {wanted.owner or 'an operator'}, {policy}")])
        return bucket

    def change_bucket(self, name: str, change: orders.BucketChange) -> Bucket:
        """:raises NotFoundError: there is none."""
        bucket = self._find_bucket(name)
        settings = {key: value for key, value in {**bucket.settings, **change.settings}.items() if value}
        quota = bucket.quota if change.quota is None else max(0, change.quota)
        after = msgspec.structs.replace(bucket, settings=settings, quota=quota)
        self._mapper.commit([BucketChange(after, f"changed {', '.join(sorted(change.settings)) or 'quota'}")])
        return after

    def drop_bucket(self, name: str) -> None:
        """:raises NotFoundError: there is none."""
        self._mapper.commit([BucketChange(self._find_bucket(name), "deleted", gone=True)])

    def _find_bucket(self, name: str) -> Bucket:
        self._mapper.check_leads()
        bucket = self._mapper.model.buckets.get(name)
        if bucket is None:
            raise NotFoundError(f"there is no bucket {name!r}")
        return bucket

    def put_key(self, key: Key) -> Key:
        """:raises UsageError: no name for a key, or a secret that is too short."""
        self._mapper.check_leads()
        if not re.fullmatch(r"[A-Za-z0-9]{3,128}", key.access_key) or not 8 <= len(key.secret) <= 256:
            raise UsageError("an access key is 3 to 128 letters and digits, a secret 8 to 256 characters")
        self._mapper.commit([KeyChange(key, "made")])
        return key

    def drop_key(self, access_key: str) -> None:
        """:raises NotFoundError: there is none."""
        self._mapper.check_leads()
        key = self._mapper.model.keys.get(access_key)
        if key is None:
            raise NotFoundError(f"there is no key {access_key!r}")
        self._mapper.commit([KeyChange(key, "deleted", gone=True)])

    def mark_disk(self, order: orders.DiskOrder) -> None:
        """:raises NotFoundError: there is no such disk."""
        self._mapper.check_leads()
        found = [
            each
            for each in self._mapper.model.disks.values()
            if each.server == order.server and order.disk in {"", each.name}
        ]
        if order.disk and len(found) > 1:  # one that was replaced has the same name as the one that is there now
            present = self._mapper.sightings.servers.get(order.server)
            found = [each for each in found if present and each.disk_id in (present.disks or {})] or found
        if not found:
            raise NotFoundError(f"there is no disk {order.server}/{order.disk}".rstrip("/"))
        why = f"marked by an operator{': ' + order.reason if order.reason else ''}"
        changes: list[Change] = [
            DiskChange(dataclasses.replace(each, mark=order.mark, reason=order.reason), why) for each in found
        ]
        self._mapper.commit(changes)

    def lead(self, order: orders.LeadOrder) -> Placement:
        """Make another member the leader.

        :raises NotFoundError: no such placement or member. :raises RefusedError: it would lose writes, or its disk does
            not serve. :raises ExhaustedError: its epochs are used up. :raises UnavailableError: the map is being
            rebuilt: somebody else may lead in that epoch already.
        """
        self._mapper.check_leads()
        placement = self._mapper.model.placements.get(order.placement)
        member = None if placement is None else placement.member(order.server)
        if placement is None or member is None:
            raise NotFoundError(f"there is no placement {order.placement} with a copy on {order.server}")
        view = self._mapper.view()
        if view.state(member) not in SERVING:
            raise RefusedError(f"{order.server} does not serve that disk now")
        if not order.accept_loss:
            _check_complete(view, placement, member)
        if placement.leader == order.server:
            return placement
        self._mapper.check_certain(placement)
        why = "an operator's order, accepting loss" if order.accept_loss else "an operator's order"
        change = lead(placement, member, why)
        self._mapper.commit([change])
        return change.placement

    def end_host(self, id_: str) -> None:
        """End a placement: its host is not known any more, its data is left over, and deleted like all leftovers.

        :raises NotFoundError: there is none. :raises UnavailableError: the map is being rebuilt: it may be another's.
        """
        self._mapper.check_leads()
        placement = self._mapper.model.placements.get(id_)
        if placement is None:
            raise NotFoundError(f"there is no placement {id_}")
        self._mapper.check_certain(placement)
        self._mapper.commit([end(placement, "an operator's order")])

    def remember_host(self, order: orders.RememberOrder) -> Placement:
        """Undo `end_host`, as long as the data is there.

        :raises ExistsError, NotFoundError, ExhaustedError, UnavailableError: as forgotten.recall; the last one also
            while the map is being rebuilt.
        """
        self._mapper.check_leads()
        if self._mapper.model.recovering:
            raise UnavailableError("the map is being rebuilt from the disks", hint="try again")
        change = recall(self._mapper.view(), order.namespace, order.host, measure_leap(self._mapper.term))
        self._mapper.commit([change])
        return change.placement

    def drill(self, order: orders.DrillOrder) -> None:
        """Have a placement's newest objects read back next. :raises NotFoundError: there is none."""
        self._mapper.check_leads()
        if order.placement not in self._mapper.model.placements:
            raise NotFoundError(f"there is no placement {order.placement}")
        self._mapper.drills.order(order.placement)
        self._mapper.drills.review(self._mapper.view(), self._mapper.clock.now().timestamp())

    def rebalance(self, order: orders.Moves) -> orders.Moves:
        """Move copies to emptier disks, so many at a time, until the disks are even or this mapper leads no more."""
        self._mapper.check_leads()
        self._mapper.moves = max(0, min(order.moves, _MOST_MOVES))
        return orders.Moves(self._mapper.moves)

    def make_groups(self, order: orders.VbucketOrder) -> None:
        """Groups of vbuckets, a placement each; those that are there stay. All or as many as there is room for.

        :raises UsageError: numbers that make no groups. :raises ExhaustedError, UnavailableError: as Mapper.allocate.
        """
        self._mapper.check_leads()
        if not 1 <= order.per_disk <= order.total <= _MOST_VBUCKETS:
            raise UsageError(f"{order.total} vbuckets, {order.per_disk} a disk: 1 to {_MOST_VBUCKETS}, no more a disk")
        if order.namespace not in self._mapper.model.buckets:
            self.make_bucket(orders.NewBucket(order.namespace, "exclusive"))
        for number, begin in enumerate(range(0, order.total, order.per_disk)):
            host = f"vb_group_{number}"
            self._mapper.allocate(Allocation(order.namespace, host))
            vbuckets = tuple(range(begin, min(begin + order.per_disk, order.total)))
            if self._mapper.model.groups.get((order.namespace, host)) != vbuckets:
                self._mapper.commit([GroupChange(order.namespace, host, vbuckets, "initialized")])


def _check_complete(view: View, placement: Placement, member: Member) -> None:
    """:raises RefusedError: another copy is better, or there may be one."""
    if member.state == "copying":
        raise RefusedError(
            f"the copy on {member.server} may lack acknowledged writes", hint="--accept-loss, if no better one is left"
        )
    if member.state == "comparing" and any(view.state(each) in SERVING for each in placement.in_sync()):
        raise RefusedError(
            f"the copy on {member.server} is being compared with its leader's", hint="wait until it is in sync"
        )
