"""How long sessions wait for a lost connection: legs beside others shortly, a lone one long. See decision 0102."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from drystone.base.errors import UnavailableError
from drystone.cluster.agents.failures import Failures
from drystone.cluster.agents.views import find_leg_session, is_at_work
from drystone.cluster.agents.volume_note import lone_legs
from drystone.cluster.model.calls import VolumeWish
from drystone.dvm.state import State
from drystone.kernel.iscsi.abc import Initiator, Session, Timeouts
from drystone.kernel.iscsi.names import Portal

MIRRORED = Timeouts(replacement=1)
"""Of a leg beside others: writes wait for as long as it takes to tell that it is gone, which is 3 seconds by these."""
LONE_SECONDS = 120


class SessionTimeouts:
    """Of an ihost's sessions. The constructor has no effects.

    :param mirrored: of legs that others stand beside. :param lone_seconds: the replacement timeout of the others.
    """

    def __init__(self, initiator: Initiator, mirrored: Timeouts, lone_seconds: int) -> None:
        self._initiator = initiator
        self._mirrored = mirrored
        self._lone_seconds = lone_seconds

    def at_login(self, known: Session | None) -> Timeouts:
        """Of a session that is begun; one that is known keeps what it has."""
        return replace(self._mirrored, replacement=known.replacement) if known else self._mirrored

    def lengthen(self, wish: VolumeWish, failures: Failures) -> None:
        """For legs that nothing stands beside, before a table says so."""
        self._have(wish, lone_legs(wish), self._lone_seconds, failures)

    def shorten(self, wish: VolumeWish) -> None:
        """For the others, once tables have them beside others. A session that is gone meanwhile has no timeout."""
        mirrored = {each.leg for each in wish.disks} - lone_legs(wish)
        self._have(wish, mirrored, self._mirrored.replacement, Failures())

    def check_lone(self, wish: VolumeWish, part: State) -> None:
        """:raises UnavailableError: what a mirror holds would fail, as its only leg has no connection.

        :param part: the mirror with what is below it.
        """
        lone, sessions = lone_legs(wish, part), self._initiator.sessions()
        for each in wish.disks:
            if each.leg in lone and not is_at_work(find_leg_session(sessions, each)):
                raise UnavailableError(f"leg {each.leg}, the only one left of its mirror, has no connection")

    def _have(self, wish: VolumeWish, legs: Collection[str], seconds: int, failures: Failures) -> None:
        sessions = self._initiator.sessions()
        for each in wish.disks:
            known = find_leg_session(sessions, each) if each.leg in legs else None
            if known is not None and known.replacement != seconds:
                with failures.kept():
                    self._initiator.set_replacement(each.target, Portal.parse(each.portal), seconds)
