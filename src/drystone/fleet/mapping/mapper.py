"""A mapper: what it answers, and what it does by itself twice a second. Without network or threads of its own.

It leads while it has the database's lease. All decisions are the pure functions of this package; here they are given
the model and the sightings, and what they decide is committed. The simulation runs this very class.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence

import msgspec

from drystone.base.clock import Clock
from drystone.base.errors import MismatchError, NotFoundError, RefusedError, UnavailableError
from drystone.base.names import new_uuid
from drystone.fleet.documents import (
    Allocation,
    DrillResult,
    FleetMap,
    Heartbeat,
    HeartbeatAnswer,
    Placement,
    Report,
)
from drystone.fleet.mapping.allocate import allocate
from drystone.fleet.mapping.audit import describe
from drystone.fleet.mapping.balance import decide_moves
from drystone.fleet.mapping.chart import draw_map
from drystone.fleet.mapping.database import Database, NotLeadingError
from drystone.fleet.mapping.decide import decide_placements, decide_servers, step
from drystone.fleet.mapping.drills import Drills
from drystone.fleet.mapping.endings import Endings
from drystone.fleet.mapping.epochs import is_spent, measure_leap
from drystone.fleet.mapping.history import History
from drystone.fleet.mapping.leftovers import review_leftovers, with_leftovers
from drystone.fleet.mapping.model import (
    Change,
    FleetChange,
    Model,
    PlacementChange,
)
from drystone.fleet.mapping.quotas import review_quotas
from drystone.fleet.mapping.rebuild import (
    Waiting,
    find_certain,
    find_newer,
    leap,
    overrule,
    rebuild,
    unheard,
)
from drystone.fleet.mapping.records import note_records
from drystone.fleet.mapping.rules import Rules
from drystone.fleet.mapping.sightings import Sightings
from drystone.fleet.mapping.status import placement_state
from drystone.fleet.mapping.view import DiskState, View

log = logging.getLogger(__name__)

_LEFTOVERS_SECONDS = 5.0


class Mapper:
    """One mapper. Its methods are called one at a time.

    :param id: of this process, different after each start. :param url: where other mappers and servers call it.
    :param changed: called after each commit. :param make_id: for new placements.
    :param recover: take the database for an old one, that was put back: the disks may know better.
    :param leap: how many terms are left out when a rebuilding begins: any number, another each time.
    """

    def __init__(
        self,
        database: Database,
        rules: Rules,
        clock: Clock,
        *,
        id: str,  # noqa: A002  # it is what it is called everywhere
        url: str,
        changed: Callable[[], None] = lambda: None,
        make_id: Callable[[], str] = new_uuid,
        recover: bool = False,
        leap: Callable[[], int] = lambda: secrets.randbelow(1 << 20),
    ) -> None:
        self.database = database
        self.rules = rules
        self.clock = clock
        self.id = id
        self.url = url
        self.term = 0
        self.leader_url = ""
        self.model = Model("")
        self._history = History(0)
        self.sightings = Sightings(0.0)
        self.waiting: list[Waiting] = []
        self._newest = ("", 0)
        """Fleet and version of the newest model that was seen, also in earlier terms."""
        self._found: int | None = None
        """Version of the model when our term began, or of a newer map that was heard of; None until it is read."""
        self.moves = 0
        """Copies that may be moved at the same time from full disks to emptier ones; not kept for the next leader."""
        self._changed = changed
        self._make_id = make_id
        self._recover_first = recover
        self._leap = leap
        self._rebuilding = 0
        """The term of our own that was begun with a rebuilding of the map, or for one."""
        self._until = 0.0
        self._renew_at = 0.0
        self._stale = False
        self._settled: object = None
        self._ticked = 0.0
        self._begun = 0.0
        self._leftovers_at = 0.0
        self._endings = Endings()
        self.drills = Drills()

    # The lease

    def leads(self) -> bool:
        """Whether it has the lease, as far as it can know."""
        return self.term > 0 and self.clock.monotonic() < self._until

    def check_leads(self) -> None:
        """:raises NotLeadingError: another mapper leads, or none."""
        if not self.leads():
            raise NotLeadingError(self.leader_url)
        if self._stale:
            self._load()

    def _load(self) -> None:
        """Read the model, and see whether it is older than one that was seen before."""
        self.model = self.database.load()
        if self._found is None:
            self._found = self.model.version
        self._history = History(self.model.version)
        self._settled = None
        fleet, version = self._newest
        if self._recover_first:
            self._begin_recovery("an operator says that the database was put back")
            self._recover_first = False
        elif fleet and (self.model.version < version or self.model.fleet != fleet):
            self.sightings = Sightings(self.clock.monotonic())
            self._begin_recovery(f"the database went back from version {version}")
        elif self.model.recovering and not self.model.led_past and self._rebuilding != self.term:
            self._begin_term(self.term)  # a rebuilding of which nothing is done yet: it begins with us
        self._newest = (self.model.fleet, self.model.version)
        self._stale = False

    def _hold_lease(self) -> None:
        """Take the lease or prolong it, when it is time. :raises UnavailableError: the database does not answer."""
        now = self.clock.monotonic()
        if now < self._renew_at:
            return
        lease = self.database.take_lease(self.id, self.url, self.rules.lease)
        self._renew_at = now + self.rules.lease / 4
        if lease.holder != self.id:
            self._resign(lease.url)
            return
        self._until = now + self.rules.lease
        if lease.term != self.term:
            self._begin(lease.term)

    def _begin(self, term: int) -> None:
        log.info("leading in term %d", term)
        self.term = term
        self.leader_url = self.url
        self._begun = self.clock.monotonic()
        self.sightings = Sightings(self._begun)
        self.waiting = []
        self._endings = Endings()
        self.drills = Drills()
        self._stale = True  # until it is read: what we know is of an earlier term
        self._found = None
        self._load()

    def _resign(self, url: str) -> None:
        if self.term:
            log.warning("leading no more; the leader is %s", url or "not known")
        self.term = 0
        self._until = 0.0
        self.leader_url = url if url != self.url else ""

    def release(self) -> None:
        """Give the lease back, at the end."""
        if self.term:
            self._resign("")
            self.database.release_lease(self.id)

    # By itself

    def tick(self) -> None:
        """Hold the lease and take the next steps. :raises UnavailableError: the database does not answer."""
        self._hold_lease()
        if not self.leads():
            return
        self.check_leads()
        now = self.clock.monotonic()
        if now - self._ticked > self.rules.dead / 2:
            self.sightings.since = now  # we stood still: nobody could be heard
        self._ticked = now
        view = self.view()
        self.commit(decide_servers(view))
        self._recover()
        if now >= self._leftovers_at:
            self._leftovers_at = now + _LEFTOVERS_SECONDS
            self.sightings.forget_pauses(now)
            if any(len(each.members) < self.rules.copies for each in self.model.placements.values()):
                self._settled = None  # disks may have room again, which no signature tells
            self.commit(review_leftovers(self.view(), self._wall()))
            self.commit(review_quotas(self.view()))
            if not self.model.recovering:
                self.commit(self._endings.review(self.view()))
                self.drills.review(self.view(), self._wall())
        view = self.view()
        signature = view.signature()
        if signature == self._settled and not self.moves:
            return
        if self.model.recovering:
            self.commit(decide_placements(view, self._certain()))
            return
        changes = decide_placements(view, self.model.placements.values())
        if not changes and self.moves:
            changes = self._balance()
        self.commit(changes)
        # Members of what has just changed may need a next step: look again, until nothing changes.
        self._settled = None if changes else signature

    def _balance(self) -> list[PlacementChange]:
        """The next moves of copies; asked for no more once the disks are even and all copies in sync."""
        view = self.view()
        changes = decide_moves(view, self.moves)
        if not changes and all(placement_state(view, each) == "protected" for each in self.model.placements.values()):
            log.info("the disks are even")
            self.moves = 0
        return changes

    def _recover(self) -> None:
        """Take over what the disks know better than the database.

        Of what this rebuilding led past already, an earlier mapper too, they can know nothing better: where they do,
        the database was put back meanwhile, or they know of one more that was lost.
        """
        if not self.model.recovering:
            return
        view = self.view()
        if not self.model.led_past.isdisjoint(find_newer(view)):
            self._begin_recovery("the disks know newer placements than the rebuilding led to: it begins anew")
            return
        changes, self.waiting = rebuild(view, self.term, self._wall())
        self.commit(changes)
        self._overrule()
        if not self.waiting and not self._doubtful() and not unheard(self.view(), self.term):
            self.end_recovery("every server has told what it holds")

    def _overrule(self) -> None:
        """Lead what is certain past all epochs of the lost database: some server may have heard of one, and lost the
        disk that would have kept it."""
        epochs = measure_leap(self.term)
        self.commit(
            [
                leap(each, epochs, "all that were in sync have told")
                for each in find_certain(self.view(), self.term)
                if each.id not in self.model.led_past and not is_spent(each)
            ]
        )

    def _certain(self) -> list[Placement]:
        """Placements that may be decided about while the map is being rebuilt."""
        return [each for each in find_certain(self.view(), self.term) if each.id in self.model.led_past]

    def _doubtful(self) -> list[Placement]:
        """Those that are not, of all that are decided about at all."""
        certain = {each.id for each in self._certain()}
        return [each for each in self.model.placements.values() if each.id not in certain and not is_spent(each)]

    def end_recovery(self, why: str) -> None:
        """Take what is known for right from now on, also where a disk that is missing may know better.

        :raises NotLeadingError: another mapper leads.
        """
        self.check_leads()
        if self.model.recovering:
            doubt = f"{why}: a disk that is missing may know better"
            overruled = overrule(self.view(), self._doubtful(), self.term, doubt, self._wall())
            self.commit([*overruled, FleetChange(self.model.fleet, recovering=False, why=why)])
            self.waiting = []

    def view(self) -> View:
        """The fleet as it is now."""
        return View(self.model, self.sightings, self.rules, self.clock.monotonic())

    def take_drill(self, result: DrillResult) -> None:
        """A server's word of a restore drill. :raises NotLeadingError, UnavailableError: it is not kept."""
        self.check_leads()
        self.commit(self.drills.take(self.view(), result, self._wall()))

    def _wall(self) -> float:
        return self.clock.now().timestamp()

    def commit(self, changes: Sequence[Change]) -> None:
        """Make changes, in the database and then in the model.

        :raises NotLeadingError, MismatchError, UnavailableError: nothing is known to be changed.
        """
        if not changes:
            return
        whole = with_leftovers(self.model, changes, self._wall())
        try:
            version = self.database.commit(self.term, self.model.version, whole, self._wall())
        except NotLeadingError as error:
            self._resign(error.url)
            self._renew_at = 0.0
            raise
        except (MismatchError, UnavailableError):
            self._stale = True
            raise
        self.model.apply(whole, version)
        self._history.note(whole, version)
        self._newest = (self.model.fleet, version)
        for change in whole:
            log.info("%s %s: %s", *describe(change))
        self._changed()

    # Storage servers

    def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """Note that a server lives.

        :raises RefusedError: it is none of the fleet's. :raises MismatchError: its disks are another fleet's.
        """
        self.check_leads()
        if self.rules.servers and heartbeat.server not in self.rules.servers:
            raise RefusedError(
                f"server {heartbeat.server!r} is not in the mapper's list", hint="add it to `servers` of the mapper"
            )
        self._compare_fleet(heartbeat)
        if self.sightings.note(heartbeat, self.clock.monotonic()):
            self._compare_version(heartbeat)
            self.commit(note_records(self.view(), heartbeat))
        if heartbeat.held is not None and not self.model.recovering and find_newer(self.view()):
            self._begin_recovery("the disks know newer placements than the database")
        sighting = self.sightings.servers[heartbeat.server]
        # A version says nothing without its term: over a database that was put back it may be reached again.
        has_map = (heartbeat.term, heartbeat.map_version) == (self.term, self.model.version)
        news = None if has_map else self.map(heartbeat.edition, heartbeat.map_version)
        return HeartbeatAnswer(
            term=self.term,
            map=news,
            want_held=self.sightings.untold(heartbeat.server, self.clock.monotonic())
            or (self.model.recovering and sighting.held_term != self.term),
            drills=self.drills.asked_of(heartbeat.server),
        )

    def _compare_fleet(self, heartbeat: Heartbeat) -> None:
        """Notice a database that was lost or put back."""
        if heartbeat.fleet and heartbeat.fleet != self.model.fleet:
            if self.model.placements or self.model.buckets:
                raise MismatchError(
                    f"the disks of {heartbeat.server} belong to fleet {heartbeat.fleet}, this is {self.model.fleet}",
                    hint="every server of a fleet has the fleet's disks only",
                )
            why = f"the disks of {heartbeat.server} have it, and the database was new"
            # In one commit: a map of this fleet that is new and not being rebuilt would be taken for the whole truth.
            if not self.model.recovering:
                self._begin_term(self.term)
            self.commit([FleetChange(heartbeat.fleet, recovering=True, why=why)])
        if heartbeat.term == self.term and heartbeat.map_version > self.model.version:
            self._begin_recovery(f"{heartbeat.server} knows map {heartbeat.map_version}: the database is old")
        if heartbeat.term > self.term:
            why = f"{heartbeat.server} knows term {heartbeat.term}: the database is old"
            self._begin_recovery(why, above=heartbeat.term)

    def _compare_version(self, heartbeat: Heartbeat) -> None:
        """Notice a database that was put back, and led over in a new term since: whoever led before gave out a newer
        map than that term began with. Once for a version: the rebuilding may be ended without who knows it."""
        assert self._found is not None, "read"
        if heartbeat.term < self.term and heartbeat.map_version > self._found:
            if not self.model.recovering:
                why = f"{heartbeat.server} knows map {heartbeat.map_version} of an earlier term: the database is old"
                self._begin_recovery(why)
            self._found = heartbeat.map_version

    def _begin_recovery(self, why: str, above: int = 0) -> None:
        """Rebuild the map, from the beginning if that is being done already: in a new term, above that one, as what
        servers told before they knew it does not count."""
        self._begin_term(above)
        self.commit([FleetChange(self.model.fleet, recovering=True, why=why)])

    def _begin_term(self, above: int) -> None:
        """Lead in a term above that one, which no mapper ever led in: not even over a database that was lost since."""
        term = max(above, self.term) + 1 + self._leap()
        self.database.raise_term(self.id, term)
        self._found = self.model.version
        self.term = self._rebuilding = term

    def map(self, edition: str = "", version: int = 0) -> FleetMap:
        """What storage servers must know; only what is new since a version of an edition, where that is less."""
        return draw_map(self.model, self._history, self.term, edition=edition, version=version)

    def check_certain(self, placement: Placement) -> None:
        """:raises UnavailableError: the map is being rebuilt, and a disk may know the placement in a newer epoch."""
        if self.model.recovering and all(each.id != placement.id for each in self._certain()):
            raise UnavailableError("the map is being rebuilt from the disks", hint="try again")

    def allocate(self, wanted: Allocation) -> Placement:
        """The placement of a host, made when there is none.

        :raises NotFoundError: no such bucket. :raises UnavailableError: the map is being rebuilt, or no server was
            heard of. :raises ExhaustedError: no room.
        """
        self.check_leads()
        found = self.model.find(wanted.namespace, wanted.host)
        if found is not None:
            return found
        if self.model.recovering:
            silent = ", ".join(sorted(unheard(self.view(), self.term))) or "some disks"
            raise UnavailableError(
                "the map is being rebuilt from the disks, new hosts have to wait", hint=f"not heard of: {silent}"
            )
        waited = self.clock.monotonic() - self._begun > self.rules.dead
        if not waited and not all(self.sightings.heard(each) for each in self.model.servers):
            raise UnavailableError("not all storage servers were heard of yet", hint="try again")
        change = allocate(self.view(), wanted, self._make_id())
        self.commit([change])
        for each in change.placement.members:
            self.sightings.ask_soon(each.server, self.clock.monotonic())
        return change.placement

    def report(self, report: Report) -> tuple[Placement, bool]:
        """A leader's word about its members: the placement as it is then, and whether the report was heard.

        :raises NotFoundError: no such placement. :raises ExhaustedError: its epochs are used up.
        :raises UnavailableError: it cannot be done now, as the map is being rebuilt, or what would be left is on a bad
            disk.
        """
        self.check_leads()
        placement = self.model.placements.get(report.placement)
        if placement is None:
            raise NotFoundError(f"there is no placement {report.placement}")
        if report.epoch != placement.epoch or report.server != placement.leader:
            return placement, False
        self.check_certain(placement)
        own = placement.member(report.server)
        if report.drop and own is not None and self.view().state(own) is DiskState.BAD:
            raise UnavailableError(
                f"the disk of {report.server} is bad: it cannot be left alone with {placement.folder}"
            )
        members = [
            msgspec.structs.replace(each, state="in_sync") if each.server in report.in_sync else each
            for each in placement.members
            if each.server not in report.drop or each.server == placement.leader
        ]
        said = [(report.drop, "did not answer"), (report.in_sync, "caught up")]
        why = "; ".join(f"{', '.join(names)} {what}" for names, what in said if names)
        change = step(placement, members, f"{why} ({report.reason})" if report.reason else why)
        self.commit([change])
        until = self.clock.monotonic() + self.rules.pause
        for server in report.drop:
            self.sightings.pause(placement.id, server, until)
        return change.placement, True
