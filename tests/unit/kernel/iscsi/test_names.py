"""What may be the name of a node, a portal, a user and a secret."""

from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.kernel.iscsi.names import Chap, Portal, check_iqn, wwid_of


@pytest.mark.parametrize(
    "name",
    [
        "iqn.2026-11.org.example",
        "iqn.2026-11.org.example:leg-7.a:b",
        "iqn.1993-08.org.debian:01:9a7b",
        "iqn.2026-11.x",
        "iqn.2026-11.org.example:" + "a" * 199,
    ],
)
def test_iqns(name: str) -> None:
    assert check_iqn(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "iqn.2026-11",
        "iqn.2026-13.org.example:a",
        "iqn.26-11.org.example:a",
        "iqn.2026-11.org..example:a",
        "iqn.2026-11.-org.example:a",
        "iqn.2026-11.org.example:",
        "iqn.2026-11.org.example:A",
        "iqn.2026-11.org.example:a/b",
        "iqn.2026-11.org.example:a_b",
        "iqn.2026-11.org.example:a\n",
        "iqn.2026-11.org.example:\u00e4",
        "iqn.2026-11.org.example:" + "a" * 200,
        "eui.02004567a425678d",
        "../../core",
        "iqn." + "a-" * 20000,
    ],
)
def test_what_is_no_iqn(name: str) -> None:
    with pytest.raises(UsageError):
        check_iqn(name)


@pytest.mark.parametrize(
    ("text", "portal", "spelled"),
    [
        ("10.0.0.1", Portal("10.0.0.1", 3260), "10.0.0.1:3260"),
        ("10.0.0.1:3261", Portal("10.0.0.1", 3261), "10.0.0.1:3261"),
        ("::1", Portal("::1", 3260), "[::1]:3260"),
        ("[::1]", Portal("::1", 3260), "[::1]:3260"),
        ("[fe80::1]:80", Portal("fe80::1", 80), "[fe80::1]:80"),
    ],
)
def test_portals(text: str, portal: Portal, spelled: str) -> None:
    assert Portal.parse(text) == portal == Portal.parse(str(portal))
    assert str(portal) == spelled


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":3260",
        "host",
        "10.0.0.1:",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "10.0.0.01",
        "10.0.0.1/../x",
        "[::1",
        "::1]:3260",
        "fe80::1%eth0",
        "0::1",
        "[10.0.0.1:3260",
        "10.0.0.1:-1",
        "10.0.0.1:32 60",
        "10.0.0.1\n",
    ],
)
def test_what_is_no_portal(text: str) -> None:
    with pytest.raises(UsageError):
        Portal.parse(text)


def test_secrets_are_not_shown() -> None:
    chap = Chap("user", "very-secret-words")
    assert "very-secret" not in repr(chap)
    with pytest.raises(UsageError) as caught:
        Chap("user", "very secret words")
    assert "very secret" not in f"{caught.value} {caught.value.facts}"


@pytest.mark.parametrize(
    ("user", "secret"),
    [
        ("", "a" * 12),
        ("u" * 256, "a" * 12),
        ("u", "a" * 11),
        ("u", "a" * 256),
        ("u", "NULL" + "a" * 12),
        ("NULL", "a" * 12),
        ("a b", "a" * 12),
        ("u", "a" * 12 + "\n"),
        ("u", "\u00e4" * 12),
        ("u", "a" * 11 + "\0"),
    ],
)
def test_what_chap_cannot_be(user: str, secret: str) -> None:
    with pytest.raises(UsageError):
        Chap(user, secret)


def test_wwid() -> None:
    # As a kernel showed it of a disk with that serial.
    assert wwid_of("5f0c7d9e-8a61-4a55-9d5c-2f6f0e7c1b11") == "naa.60014055f0c7d9e8a614a559d5c2f6f0"
