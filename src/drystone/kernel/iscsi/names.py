"""How iSCSI names things: nodes by IQN, portals by address and port, CHAP by user and secret.

Source: RFC 7143, sections 4.2.7 (names), 9.2.1 (secrets of CHAP), 13.8 (portals). Linux's own limits:
`include/target/iscsi/iscsi_target_core.h` and open-iscsi's `usr/idbm.h`. Every value is checked when it is made, so
that what holds one may use it as a name below configfs, and as a word of a command.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field

from drystone.base.errors import UsageError

LONGEST_IQN = 223
"""Bytes; it is ASCII."""
ISCSI_PORT = 3260
SHORTEST_SECRET, LONGEST_SECRET = 12, 255
"""Bytes of a secret: 96 bits are the least that the RFC allows; the most is what LIO and open-iscsi both hold."""

_LABEL = r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_IQN = re.compile(rf"iqn\.[0-9]{{4}}-(?:0[1-9]|1[0-2])\.{_LABEL}(?:\.{_LABEL})*(?::[a-z0-9.:-]+)?")
_PRINTABLE = re.compile(r"[!-~]+")
_UNSET = "NULL"
"""LIO takes any user or secret that begins so as a wish to have none (`iscsi_target_configfs.c`)."""


def check_iqn(name: str, what: str = "name") -> str:
    """`name` itself, when it is an iSCSI qualified name such as `iqn.2026-11.org.example:leg-7`.

    :raises UsageError: otherwise; capitals are refused too, as both sides would have to fold them alike.
    """
    if len(name) > LONGEST_IQN:
        raise UsageError(f"the {what} {name[:30]!r}... has {len(name)} characters, an IQN has {LONGEST_IQN} at most")
    if _IQN.fullmatch(name) is None:
        raise UsageError(
            f"the {what} {name!r} is no IQN", hint="iqn.YEAR-MONTH.REVERSED.DOMAIN:REST, of a-z 0-9 . - and :"
        )
    return name


@dataclass(frozen=True, slots=True)
class Portal:
    """Where a target listens: an IPv4 or IPv6 address in its canonical spelling, and a TCP port.

    :raises UsageError: another spelling, a host name, an address with a zone, or a port that is none.
    """

    address: str
    port: int = ISCSI_PORT

    def __post_init__(self) -> None:
        try:
            found = ipaddress.ip_address(self.address)
        except ValueError:
            raise UsageError(f"{self.address!r} is no IP address") from None
        if str(found) != self.address or "%" in self.address:
            raise UsageError(f"the address {self.address!r} is not in its canonical spelling", hint=f"such as {found}")
        if not 1 <= self.port <= 0xFFFF:
            raise UsageError(f"a port is 1 to 65535, not {self.port}")

    @classmethod
    def parse(cls, text: str) -> Portal:
        """The portal that is written `10.0.0.1`, `10.0.0.1:3260`, `::1`, `[::1]` or `[::1]:3260`.

        :raises UsageError: it is written otherwise.
        """
        bracketed = re.fullmatch(r"\[([^\[\]]*)\](?::([0-9]{1,5}))?", text)
        plain = None if text.count(":") > 1 else re.fullmatch(r"([^:]*)(?::([0-9]{1,5}))?", text)
        if match := bracketed or plain:
            address, port = match.groups()
        else:
            address, port = text, None
        return cls(address, ISCSI_PORT if port is None else int(port))

    def __str__(self) -> str:
        """As LIO and iscsiadm write it: an IPv6 address stands in brackets."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class Chap:
    """With what an initiator proves itself to a target. The secret is not in its repr.

    :raises UsageError: a user of none or more than 255 characters, a secret that is shorter than 12 or longer than
        255, or anything in them but printable ASCII without spaces.
    """

    user: str
    secret: str = field(repr=False)

    def __post_init__(self) -> None:
        _check_words("CHAP user", self.user, 1)
        _check_words("CHAP secret", self.secret, SHORTEST_SECRET)


def _check_words(what: str, text: str, shortest: int) -> None:
    """:raises UsageError: naming the length, never the text."""
    if not shortest <= len(text) <= LONGEST_SECRET:
        raise UsageError(f"the {what} has {len(text)} characters, {shortest} to {LONGEST_SECRET} are allowed")
    if _PRINTABLE.fullmatch(text) is None:
        raise UsageError(f"the {what} has other characters than printable ASCII", hint="no spaces, no line breaks")
    if text.startswith(_UNSET):
        raise UsageError(f"the {what} begins with {_UNSET}, which LIO takes for none")


def wwid_of(serial: str) -> str:
    """The WWID that sysfs shows of a disk whose backstore has that serial (a UUID).

    NAA 6 of OpenFabrics' company id, then the first 25 hexadecimal digits of the serial. Source: Linux
    `drivers/target/target_core_spc.c`, spc_gen_naa_6h_vendor_specific.
    """
    return "naa.6001405" + serial.replace("-", "").lower()[:25]
