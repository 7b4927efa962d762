# ruff: noqa: D103  a check is named by what it checks
"""The conformance check of LIO: what every implementation of `kernel/lio/abc.py` must do.

A check is a function of a `LioBench`. `CHECKS` has all of them; they run on the simulated one in the unit tests, and on
the real one inside a guest. Where an error is asserted, a kernel (6.1) was asked. What needs an initiator is in
`drystone.testing.iscsi`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Self

from drystone.base.errors import BusyError, DrystoneError, MismatchError, NotFoundError, UsageError
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.names import Chap, Portal
from drystone.kernel.lio.abc import Acl, Backstore, Lio, Lun, Target

IQN = "iqn.2026-11.org.example:"
"""How the IQNs begin that are made here."""
STORE = "bench."
"""How the names of backstores begin."""
SERIALS = ("5f0c7d9e-8a61-4a55-9d5c-2f6f0e7c1b11", "0b1f5f7e-13a5-4cc0-9c39-7d0f7e2b2c22")
HOST, OTHER_HOST = f"{IQN}host", f"{IQN}other-host"
CHAP = Chap("leg-user", "a secret of sixteen".replace(" ", "-"))
PORTAL = Portal("127.0.0.1", 3270)


@dataclass
class LioBench:
    """A LIO under test. `with bench:` removes, before and after, everything that is called as things are here.

    :ivar devices: paths and numbers of two block devices. :ivar hold: has a device held, as a mount does.
    """

    lio: Lio
    devices: Sequence[tuple[str, DeviceNumber]]
    hold: Callable[[DeviceNumber], AbstractContextManager[None]]
    _made: int = field(default=0)

    def __enter__(self) -> Self:
        self.cleanup()
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    def store(self, at: int = 0) -> str:
        """The name of a new backstore on one of the devices."""
        self._made += 1
        name = f"{STORE}{self._made}"
        self.lio.create_backstore(name, self.devices[at][0], SERIALS[at])
        return name

    def target(self, *, enabled: bool = False) -> str:
        """The IQN of a new target."""
        self._made += 1
        iqn = f"{IQN}{self._made}"
        self.lio.create_target(iqn)
        if enabled:
            self.lio.add_portal(iqn, PORTAL)
            self.lio.enable_target(iqn)
        return iqn

    def look(self, iqn: str) -> Target:
        """A target that is there."""
        (found,) = [each for each in self.lio.targets() if each.iqn == iqn]
        return found

    def ours(self) -> list[str]:
        """The names of the backstores that were made here."""
        return [each.name for each in self.lio.backstores() if each.name.startswith(STORE)]

    def cleanup(self) -> None:
        """Remove what is called as things are here."""
        for target in self.lio.targets():
            if target.iqn.startswith(IQN):
                for acl in target.acls:
                    self.lio.revoke(target.iqn, acl.initiator)
                for lun in target.luns:
                    self.lio.remove_lun(target.iqn, lun.number)
                self.lio.remove_target(target.iqn)
        for name in self.ours():
            self.lio.remove_backstore(name)


def refused(kind: type[DrystoneError], call: Callable[..., object], *args: object, **options: object) -> DrystoneError:
    """The error of exactly that kind that a call ends with."""
    try:
        answer = call(*args, **options)
    except DrystoneError as error:
        if type(error) is kind:
            return error
        raise AssertionError(f"{kind.__name__} was due, not {type(error).__name__}: {error}") from error
    raise AssertionError(f"{kind.__name__} was due, the answer is {answer!r}")


def check_backstore(bench: LioBench) -> None:
    path, number = bench.devices[0]
    made = bench.lio.create_backstore(f"{STORE}a", path, SERIALS[0])
    assert made == Backstore("iblock_740", f"{STORE}a", number, SERIALS[0], enabled=True)
    assert made in bench.lio.backstores()
    assert bench.lio.create_backstore(f"{STORE}a", path, SERIALS[0]) == made
    bench.lio.remove_backstore(f"{STORE}a")
    assert not bench.ours()
    bench.lio.remove_backstore(f"{STORE}a")


def check_backstore_is_another(bench: LioBench) -> None:
    name = bench.store(0)
    before = bench.lio.backstores()
    refused(MismatchError, bench.lio.create_backstore, name, bench.devices[1][0], SERIALS[0])
    refused(MismatchError, bench.lio.create_backstore, name, bench.devices[0][0], SERIALS[1])
    assert bench.lio.backstores() == before


def check_device_that_is_held(bench: LioBench) -> None:
    path, number = bench.devices[0]
    with bench.hold(number):
        refused(BusyError, bench.lio.create_backstore, f"{STORE}a", path, SERIALS[0])
    assert not bench.ours(), "what failed leaves nothing"
    bench.store(0)
    refused(BusyError, bench.lio.create_backstore, f"{STORE}b", path, SERIALS[1])
    assert f"{STORE}b" not in bench.ours()


def check_backstore_of_nothing(bench: LioBench) -> None:
    refused(NotFoundError, bench.lio.create_backstore, f"{STORE}a", "/dev/nonesuch", SERIALS[0])
    for name, path, serial in (
        ("../escape", bench.devices[0][0], SERIALS[0]),
        ("..", bench.devices[0][0], SERIALS[0]),
        ("a/b", bench.devices[0][0], SERIALS[0]),
        ("", bench.devices[0][0], SERIALS[0]),
        (f"{STORE}a", f"{bench.devices[0][0]},readonly=1", SERIALS[0]),
        (f"{STORE}a", f"{bench.devices[0][0]}\nreadonly=1", SERIALS[0]),
        (f"{STORE}a", "/dev/../etc/passwd", SERIALS[0]),
        (f"{STORE}a", "/etc/passwd", SERIALS[0]),
        (f"{STORE}a", bench.devices[0][0], "abc"),
        (f"{STORE}a", bench.devices[0][0], SERIALS[0].upper()),
        (f"{STORE}a", bench.devices[0][0], ""),
    ):
        refused(UsageError, bench.lio.create_backstore, name, path, serial)
    refused(UsageError, bench.lio.remove_backstore, "../core")
    assert not bench.ours()


def check_target(bench: LioBench) -> None:
    iqn = f"{IQN}a"
    made = bench.lio.create_target(iqn)
    assert made == Target(iqn, enabled=False, chap_only=True, portals=(), luns=(), acls=())
    assert bench.lio.create_target(iqn) == made == bench.look(iqn)
    bench.lio.add_portal(iqn, PORTAL)
    bench.lio.add_portal(iqn, PORTAL)
    for _ in range(2):
        bench.lio.enable_target(iqn)
        assert bench.look(iqn) == Target(
            iqn, enabled=True, chap_only=True, portals=("127.0.0.1:3270",), luns=(), acls=()
        )
    for _ in range(2):
        bench.lio.enable_target(iqn, enabled=False)
        assert not bench.look(iqn).enabled
    for _ in range(2):
        bench.lio.remove_portal(iqn, PORTAL)
        assert bench.look(iqn).portals == ()
    bench.lio.add_portal(iqn, PORTAL)
    bench.lio.enable_target(iqn)
    for _ in range(2):
        bench.lio.remove_target(iqn)
        assert iqn not in [each.iqn for each in bench.lio.targets()]


def check_portals_of_both_kinds(bench: LioBench) -> None:
    iqn = bench.target()
    bench.lio.add_portal(iqn, Portal("::1", 3271))
    bench.lio.add_portal(iqn, Portal("127.0.0.1", 3271))
    assert bench.look(iqn).portals == ("127.0.0.1:3271", "[::1]:3271")


def check_names_that_are_none(bench: LioBench) -> None:
    before = bench.lio.targets()
    for iqn in ("", "..", "discovery_auth", "iqn.2026-11.org.example:a/../../b", "iqn.2026-11.org.example:A"):
        refused(UsageError, bench.lio.create_target, iqn)
        refused(UsageError, bench.lio.remove_target, iqn)
        refused(UsageError, bench.lio.revoke, iqn, HOST)
    iqn = bench.target()
    refused(UsageError, bench.lio.grant, iqn, "../../lun", CHAP, [])
    refused(UsageError, bench.lio.revoke, iqn, "..")
    bench.lio.remove_target(iqn)
    assert bench.lio.targets() == before


def check_what_is_not_there(bench: LioBench) -> None:
    iqn, store = f"{IQN}nonesuch", bench.store()
    refused(NotFoundError, bench.lio.enable_target, iqn)
    refused(NotFoundError, bench.lio.add_portal, iqn, PORTAL)
    refused(NotFoundError, bench.lio.add_lun, iqn, 0, store)
    refused(NotFoundError, bench.lio.grant, iqn, HOST, CHAP, [])
    bench.lio.remove_portal(iqn, PORTAL)
    bench.lio.remove_lun(iqn, 0)
    bench.lio.revoke(iqn, HOST)
    bench.lio.remove_target(iqn)
    there = bench.target()
    refused(NotFoundError, bench.lio.add_lun, there, 0, f"{STORE}nonesuch")
    refused(NotFoundError, bench.lio.grant, there, HOST, CHAP, [0])
    assert bench.look(there) == Target(there, enabled=False, chap_only=True, portals=(), luns=(), acls=())


def check_luns(bench: LioBench) -> None:
    iqn, first, second = bench.target(), bench.store(0), bench.store(1)
    for _ in range(2):
        bench.lio.add_lun(iqn, 0, first)
        bench.lio.add_lun(iqn, 17, second)
    assert bench.look(iqn).luns == (Lun(0, "iblock_740", first), Lun(17, "iblock_740", second))
    refused(MismatchError, bench.lio.add_lun, iqn, 0, second)
    for number in (-1, 256):
        refused(UsageError, bench.lio.add_lun, iqn, number, first)
    refused(BusyError, bench.lio.remove_backstore, first)
    refused(BusyError, bench.lio.remove_target, iqn)
    for _ in range(2):
        bench.lio.remove_lun(iqn, 0)
    assert bench.look(iqn).luns == (Lun(17, "iblock_740", second),)
    bench.lio.remove_backstore(first)


def check_one_store_by_two_targets(bench: LioBench) -> None:
    store, one, two = bench.store(), bench.target(), bench.target()
    bench.lio.add_lun(one, 0, store)
    bench.lio.add_lun(two, 0, store)
    bench.lio.remove_lun(one, 0)
    refused(BusyError, bench.lio.remove_backstore, store)
    assert bench.look(two).luns == (Lun(0, "iblock_740", store),)


def check_grant_and_revoke(bench: LioBench) -> None:
    iqn, store, other = bench.target(enabled=True), bench.store(0), bench.store(1)
    bench.lio.add_lun(iqn, 0, store)
    bench.lio.add_lun(iqn, 1, other)
    for _ in range(2):
        bench.lio.grant(iqn, HOST, CHAP, [0])
        assert bench.look(iqn).acls == (Acl(HOST, CHAP.user, ((0, 0),), logged_in=False),)
    bench.lio.grant(iqn, HOST, Chap("another", "another-secret"), [1])
    bench.lio.grant(iqn, OTHER_HOST, CHAP, [])
    assert bench.look(iqn).acls == (
        Acl(HOST, "another", ((0, 0), (1, 1)), logged_in=False),
        Acl(OTHER_HOST, CHAP.user, (), logged_in=False),
    )
    before = bench.look(iqn)
    refused(BusyError, bench.lio.remove_lun, iqn, 0)
    refused(BusyError, bench.lio.remove_target, iqn)
    assert bench.look(iqn) == before
    for _ in range(2):
        bench.lio.revoke(iqn, HOST)
        assert [each.initiator for each in bench.look(iqn).acls] == [OTHER_HOST]
    bench.lio.remove_lun(iqn, 0)
    bench.lio.remove_lun(iqn, 1)
    refused(BusyError, bench.lio.remove_target, iqn)
    bench.lio.revoke(iqn, OTHER_HOST)
    bench.lio.remove_target(iqn)


def check_longest_words(bench: LioBench) -> None:
    iqn = IQN + "t" * (223 - len(IQN))
    bench.lio.create_target(iqn)
    initiator = IQN + "i" * (223 - len(IQN))
    bench.lio.grant(iqn, initiator, Chap("u" * 255, "s" * 255), [])
    assert bench.look(iqn).acls == (Acl(initiator, "u" * 255, (), logged_in=False),)


def check_portal_of_two_targets(bench: LioBench) -> None:
    one, two = bench.target(enabled=True), bench.target(enabled=True)
    bench.lio.remove_target(one)
    assert bench.look(two).portals == (str(PORTAL),)


def check_address_that_is_not_here_yet(bench: LioBench) -> None:
    iqn = bench.target()
    bench.lio.add_portal(iqn, Portal("203.0.113.7", 3270))
    bench.lio.enable_target(iqn)
    assert bench.look(iqn).portals == ("203.0.113.7:3270",)


CHECKS: list[Callable[[LioBench], None]] = [value for name, value in globals().items() if name.startswith("check_")]
