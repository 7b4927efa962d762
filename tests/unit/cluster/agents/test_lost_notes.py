"""An ihost whose notes are gone: nothing is put together or called done of which it knows nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from drystone.base.errors import BusyError, NotFoundError

from .test_ihost import attached, check_attached, check_nothing, make_ihost, void, withdrawn


def test_what_nothing_is_noted_of_is_put_together_for_nobody(tmp_path: Path) -> None:
    """The folder of its notes is gone: what was under way on this host is on one leg or on the other."""
    _, wish = attached()
    host = make_ihost(tmp_path)
    host.lose_notes()
    for each in (wish, withdrawn(wish)):
        with pytest.raises(NotFoundError, match="nothing is known of dlv"):
            host.agent.put(each)
    check_nothing(host)
    assert host.agent.survey().dlvs == {}
    host.agent.put(void(1))
    host.agent.put(wish)
    check_attached(host, wish)


def test_devices_of_which_nothing_is_noted_are_not_called_void(tmp_path: Path) -> None:
    host = make_ihost(tmp_path)
    _, wish = attached()
    host.agent.put(wish)
    before = host.tables()
    host.lose_notes()
    with pytest.raises(BusyError, match="the notes of this agent are gone"):
        host.agent.put(void(8))
    assert (host.tables(), host.agent.survey().dlvs) == (before, {})
    host.boot()
    host.agent.put(void(8))
