"""The configuration: what is known is read, what is not is refused with its place."""

from __future__ import annotations

import pytest

from drystone.base.errors import UsageError
from drystone.dvm.configuration import Configuration, parse_configuration, to_filters
from drystone.dvm.discovery.filters import judge

WHOLE = b"""
[common]
wait_s = 2.5

[discover]
devices = false
files = ["/srv/a.img"]
filters = [{accept = "^/srv/"}, {reject = "."}]
region = "1:65"
own_volumes = true

[transact]
keep = 4
"""


def test_every_key() -> None:
    found = parse_configuration(WHOLE, "dvm.toml")
    assert found.common.wait_s == 2.5
    assert found.discover.files == ("/srv/a.img",)
    assert not found.discover.devices
    assert found.discover.own_volumes
    assert found.discover.region == "1:65"
    assert found.transact.keep == 4
    filters = to_filters(found.discover, "dvm.toml")
    assert judge(filters, ["/srv/a.img"]).is_accepted
    assert not judge(filters, ["/dev/sda"]).is_accepted


def test_nothing_is_the_default() -> None:
    assert parse_configuration(b"", "x") == Configuration()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"[discover\n", "line 1"),
        (b"[unknown]\n", "unknown field `unknown`"),
        (b"[discover]\nfilter = []\n", r"unknown field `filter` - at `\$.discover`"),
        (b"[discover]\nfiles = 'x'\n", r"\$.discover.files"),
        (b"[transact]\nkeep = 1\n", r"\$.transact.keep"),
        (b"[transact]\nkeep = 32\n", r"\$.transact.keep"),
        (b"[common]\nwait_s = -1\n", r"\$.common.wait_s"),
        (b"[discover]\nfilters = [{accept = '['}]\n", r"discover.filters\[0\]: '\[' is no regular expression"),
        (b"[discover]\nfilters = [{}]\n", r"discover.filters\[0\]: one of accept and reject"),
        (b"[discover]\nfilters = [{accept = 'a', reject = 'b'}]\n", "not both"),
        (b"\xff", "UTF-8"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parse_configuration(text, "dvm.toml")
    assert caught.value.message.startswith("dvm.toml: ")
