"""The page as HTML."""

import re
from datetime import UTC, datetime

import msgspec

from drystone.fleet.mapping.database import AuditEntry
from drystone.fleet.mapping.endings import end
from drystone.fleet.mapping.leftovers import with_leftovers
from drystone.fleet.mapping.model import DrillRecord
from drystone.fleet.mapping.page.board import Board, make_board
from drystone.fleet.mapping.page.look import Look
from drystone.fleet.mapping.page.pace import Pace
from drystone.fleet.mapping.rebuild import Waiting
from drystone.fleet.mapping.status import fleet_status
from drystone.testing.fleet.sketch import Sketch, copy_on

NOW = datetime.fromtimestamp(100, UTC)
EVIL = "<img src=x onerror=alert(1)>\"'&"


def draw(sketch: Sketch, *audit: AuditEntry) -> Board:
    view = sketch.view()
    waiting = [Waiting(each, ("s9-1",)) for each in list(sketch.model.placements.values())[:1]]
    return make_board(view, fleet_status(view, waiting, NOW), Pace(), audit, term=3, at=100.0)


def test_what_others_named_is_escaped_everywhere() -> None:
    sketch = Sketch()
    placement = sketch.place(EVIL, copy_on("s1/1"), copy_on("s2/1", "copying"))
    sketch.hear("s1", held=[sketch.hold(placement, "s1-1")])
    board = draw(sketch, AuditEntry(99.0, 3, EVIL, EVIL, EVIL))
    disks = tuple(msgspec.structs.replace(each, reason=EVIL) for each in board.servers[0].disks)
    servers = (msgspec.structs.replace(board.servers[0], disks=disks), *board.servers[1:])
    text = Look().page(msgspec.structs.replace(board, servers=servers, summary=EVIL))
    assert "<img" not in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 9


def test_nothing_comes_from_elsewhere_and_nothing_is_written_into_the_page() -> None:
    look = Look()
    text = look.page(draw(Sketch()))
    loaded = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert {each for each in loaded if not each.startswith("/")} == {"data:,"}
    assert not re.search(r"<script>|<style| style=| on[a-z]+=", text)
    assert "http" not in look.script
    assert "http" not in look.style
    assert "@import" not in look.style


def test_without_scripts_the_page_is_loaded_anew() -> None:
    assert '<noscript><meta http-equiv="refresh" content="5"></noscript>' in Look().page(draw(Sketch()))


def test_the_changing_part_is_the_one_that_the_page_has() -> None:
    board, look = draw(Sketch()), Look()
    assert look.board(board).strip() in look.page(board)


def test_all_kinds_of_states_are_drawn() -> None:
    sketch = Sketch()
    both = sketch.place("both", copy_on("s1/1"), copy_on("s2/1"))
    sketch.place("copying", copy_on("s1/1"), copy_on("s2/1", "copying"))
    sketch.place("alone", copy_on("s3/1"))
    sketch.hear("s1", held=[sketch.hold(both, "s1-1")])
    sketch.silence("s3", seconds=7)
    for placement, passed in ((both, True), (sketch.model.placements["p-copying"], False)):
        sketch.model.drills[placement.id] = DrillRecord(placement.id, 40.0, passed, 3, 300, EVIL)
    gone = sketch.place("forgotten-one", copy_on("s2/2"))
    sketch.hear("s2", held=[sketch.hold(gone, "s2-2")])
    sketch.model.apply(with_leftovers(sketch.model, [end(gone, "forgotten")], 90.0), 2)
    text = Look().board(draw(sketch))
    assert "<img" not in text
    for words in (
        *("restore drill passed 1 min ago", "Restore drill failed 1 min ago: &lt;img", "Forgotten hosts (1)"),
        *("forgotten-one", "can be had back for 6 d"),
        *("protected", "degraded", "unreadable", "no second copy", "leads", "dead", "disk away"),
        *("has the only good copy of", "newest backup <strong>50 s</strong> ago", "have not told yet"),
        *("disks that must be read first: s9-1", "not known yet how much is left"),
    ):
        assert words in text, words


def test_many_hosts_are_cut_off_and_said_so() -> None:
    sketch = Sketch()
    for number in range(305):
        sketch.place(f"h{number}", copy_on("s1/1"), copy_on("s2/1"))
    text = Look().board(draw(sketch))
    assert text.count('<li class="host">') == 300
    assert "5 more hosts, all in better state" in text
