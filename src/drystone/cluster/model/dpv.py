"""A dpv: a server that exports slices of its disks. A dvg: a group of dpvs. An ihost: where dlvs are attached."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

HostStatus = Literal["creating", "available", "unavailable"]
"""`creating`: registered, and neither its agent nor an operator has said yet that it can be used."""


class Dpv(Struct, frozen=True, kw_only=True):
    """A server whose space is given out.

    :ivar address: HOST:PORT of its agent. :ivar portal: HOST:PORT of its iSCSI target.
    :ivar location: rack, room or house, in the operator's words; "": a place of its own, as no other dpv is there.
    :ivar extents: that it offers, :ivar used: of them, by legs that are there or may be.
    :ivar dvg: the group it is in, "" for none.
    :ivar evacuating: its legs are to go to other dpvs, and no more are given out of it.
    """

    name: str
    address: str
    portal: str
    location: str = ""
    extents: int
    used: int = 0
    dvg: str = ""
    status: HostStatus = "creating"
    reason: str = ""
    evacuating: bool = False

    @property
    def takes_legs(self) -> bool:
        """Whether space is given out of it."""
        return self.status == "available" and not self.evacuating

    @property
    def free(self) -> int:
        """Extents that no leg has."""
        return self.extents - self.used

    @property
    def place(self) -> tuple[str, str]:
        """What fails together with it: its location, or itself alone."""
        return ("location", self.location) if self.location else ("dpv", self.name)


class Dvg(Struct, frozen=True, kw_only=True):
    """A group of dpvs. :ivar version: grows with every change of what is in it or given out of it.

    :ivar rebalancing: legs are moved from its fullest dpvs to others until they are about equally full.
    """

    name: str
    version: int = 1
    dpvs: tuple[str, ...] = ()
    rebalancing: bool = False


class Ihost(Struct, frozen=True, kw_only=True):
    """A server that volumes are attached to. :ivar address: HOST:PORT of its agent. :ivar initiator: its iSCSI name."""

    name: str
    address: str
    initiator: str
    status: HostStatus = "creating"
    reason: str = ""
