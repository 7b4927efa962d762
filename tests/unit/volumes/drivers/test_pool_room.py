"""How full a pool is, in a word, by the kernel's status text; and what is refused then."""

from __future__ import annotations

import pytest

from drystone.base.errors import DamagedError, ExhaustedError
from drystone.kernel.dm.statuses import ThinPoolStatus
from drystone.volumes.drivers.pool_room import check_room, judge


def status(metadata: str, data: str, mode: str = "rw", flag: str = "-") -> ThinPoolStatus:
    text = f"7 {metadata} {data} - {mode} discard_passdown queue_if_no_space {flag} 1024"
    parsed = ThinPoolStatus.parse(text)
    assert isinstance(parsed, ThinPoolStatus)
    return parsed


@pytest.mark.parametrize(
    ("seen", "state", "words"),
    [
        (status("750/1000", "900/1000"), "ok", ""),
        (status("10/1000", "901/1000"), "low", "99 of 1000 data blocks are free"),
        (status("751/1000", "0/1000"), "low", "751 of 1000 metadata blocks are used"),
        (status("10/1000", "951/1000"), "full", "49 of 1000 data blocks are free, new work needs 50"),
        (status("901/1000", "0/1000"), "full", "901 of 1000 metadata blocks are used"),
        (status("10/1000", "500/1000", "out_of_data_space"), "full", "500 of 1000 data blocks are free"),
        (status("10/1000", "0/1000", "ro"), "needs-check", "takes no more changes"),
        (status("10/1000", "0/1000", "rw", "needs_check"), "needs-check", "takes no more changes"),
        (status("1/8", "3/3"), "full", "0 of 3 data blocks are free, new work needs 1"),
    ],
)
def test_the_state_and_why(seen: ThinPoolStatus, state: str, words: str) -> None:
    room = judge(seen)
    assert room.state == state
    assert words in room.text
    if state == "full":
        with pytest.raises(ExhaustedError, match="pool p is full") as full:
            check_room("p", seen)
        assert "drystone volume pool extend" in full.value.hint
    elif state == "needs-check":
        with pytest.raises(DamagedError, match="needs a check"):
            check_room("p", seen)
    else:
        check_room("p", seen)
