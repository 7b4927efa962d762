"""The cluster's API as an ihost agent uses it: where in-sync sets are recorded. One connection a call."""

from __future__ import annotations

import ssl
import urllib.parse
from collections.abc import Collection

from drystone.base.errors import MismatchError
from drystone.cluster.connection import Connection
from drystone.cluster.model.calls import VolumeWish

SECONDS = 5.0
"""That an answer may take: writes are held meanwhile, and then it is asked again."""


class ApiRecord:
    """Record at the API.

    :param url: such as https://10.0.0.1:7000. :param token: of this ihost's agent. :param ihost: its name.
    :param tls: whom to trust; the machine's own authorities when None. :param seconds: that an answer may take.
    :raises UsageError: `url` is none.
    """

    def __init__(
        self, url: str, token: str, ihost: str, *, tls: ssl.SSLContext | None = None, seconds: float = SECONDS
    ) -> None:
        self._connection = Connection("the API", url, tls=tls, token=token, seconds=seconds)
        self._ihost = ihost

    def shrink(self, wish: VolumeWish, lost: Collection[str]) -> VolumeWish:
        return self._commit("lost", wish, lost)

    def grow(self, wish: VolumeWish, copied: Collection[str]) -> VolumeWish:
        return self._commit("copied", wish, copied)

    def _commit(self, what: str, wish: VolumeWish, legs: Collection[str]) -> VolumeWish:
        epochs = {"attachment": wish.attachment, "epoch": wish.epoch, "set_epoch": wish.set_epoch}
        body = {"ihost": self._ihost, **epochs, "legs": [*legs]}
        place = f"/v1/agents/dlvs/{urllib.parse.quote(wish.dlv, safe='')}"
        try:
            found = self._connection.ask("POST", f"{place}/{what}", VolumeWish, body)
        except MismatchError:
            ihost = urllib.parse.quote(self._ihost, safe="")
            # It is in another epoch by now, perhaps by this very call, whose answer was lost.
            found = self._connection.ask("GET", f"{place}/wish?ihost={ihost}", VolumeWish)
        if found.dlv != wish.dlv or found.attachment != wish.attachment or found.epoch < wish.epoch:
            raise MismatchError(f"the API answered about dlv {found.dlv} in epoch {found.epoch}, not about {wish.dlv}")
        return found
