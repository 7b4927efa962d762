"""The client's commands, against an API in this process; as processes: tests/system/cluster/test_commands.py."""

from __future__ import annotations

from collections.abc import Callable

import click
import pytest
from msgspec.structs import replace

from drystone.base.errors import TimedOutError, UnavailableError
from drystone.cli.cluster.dlvs import dlvs
from drystone.cli.cluster.progress import printable
from drystone.cluster.model import in_sync
from drystone.cluster.model.dlv import Snapshot
from drystone.cluster.state import rows
from drystone.cluster.state.database import Work
from drystone.testing.cluster.client import AGENT, GIB, VIEWER
from drystone.testing.cluster.command_line import CommandLine
from drystone.testing.cluster.sender import InProcess, fail

ISCSI = "iqn.2026-11.example:h1"


def test_from_dpvs_to_a_volume_that_is_gone_again(cluster: CommandLine) -> None:
    for name in ("d1", "d2"):
        made = cluster.must("dpvs", "create", name, "--address", f"{name}:9400", "--portal", f"{name}:3260",
                            "--size", "10g", "--location", f"rack {name}")  # fmt: skip
        assert (made["status"], made["extents"], made["location"]) == ("creating", 2560, f"rack {name}")
        assert cluster.must("dpvs", "available", name, "--reason", "seen")["status"] == "available"
    assert cluster.must("dvgs", "create", "fast", "d1")["dpvs"] == ["d1"]
    assert cluster.must("dvgs", "extend", "fast", "d2")["dpvs"] == ["d1", "d2"]
    assert cluster.must("ihosts", "create", "h1", "--address", "h1:9401", "--initiator", ISCSI)["initiator"] == ISCSI
    assert cluster.must("ihosts", "available", "h1")["status"] == "available"
    dlv = cluster.must("dlvs", "create", "db", "--dvg", "fast", "--size", "1g", "--initial-size", "512m")
    assert (dlv["size"], dlv["initial_size"], dlv["mirrors"], dlv["block"]) == (GIB, GIB // 2, 2, 128)
    assert cluster.must("snapshots", "create", "db@monday")["status"] == "planned"
    job = cluster.must("dlvs", "extend", "db", "--size", "8m")
    assert cluster.must("jobs", "show", job["id"]) == job
    assert cluster.must("jobs", "cancel", job["id"])["status"] == "canceled"
    assert cluster.must("snapshots", "delete", "db@monday") == {"deleted": "snapshot db@monday"}
    assert cluster.must("dlvs", "delete", "db") == {"deleted": "dlv db"}
    assert cluster.must("dvgs", "reduce", "fast", "d1", "d2")["dpvs"] == []
    assert cluster.must("dvgs", "delete", "fast") == {"deleted": "dvg fast"}
    assert cluster.must("dpvs", "unavailable", "d1")["status"] == "unavailable"
    for name in ("d1", "d2"):
        cluster.must("dpvs", "delete", name)
    assert cluster.must("dpvs", "list") == []
    assert cluster.must("ihosts", "unavailable", "h1")["status"] == "unavailable"
    cluster.must("ihosts", "delete", "h1")
    assert all(key for method, _, key in cluster.server.asked if method != "GET"), "every write bears a key"
    assert not any(key for method, _, key in cluster.server.asked if method == "GET")


def test_tables(fast: CommandLine) -> None:
    fast.run("snapshots", "create", "db@monday")
    for words, cells in (
        (("dpvs", "list"), ("d3", "available", "fast", "100.0 GiB")),
        (("dvgs", "list"), ("fast", "d1 d2 d3")),
        (("ihosts", "list"), ("h1", "available", "iqn.2026-11.example:h1")),
        (("dlvs", "list"), ("db", "creating", "1.0 GiB", "4 of 4")),
        (("snapshots", "list", "db"), ("monday", "planned")),
        (("jobs", "list"), ("DLV",)),
        (("attachments", "list"), ("WANTED",)),
        (("dpvs", "show", "d1"), ("portal", "d1:3260")),
        (("dvgs", "show", "fast"), ("dpvs     d1 d2 d3",)),
        (("ihosts", "show", "h1"), ("address",)),
        (("dlvs", "show", "db"), ("given out  1.0 GiB", "g1.s0", "in sync", "monday")),
        (("snapshots", "show", "db@monday"), ("its dlv is attached nowhere",)),
        (("attachments", "show", "db"), ("wanted  -",)),
        (("events",), ("dlv db: creating, 4 legs in dvg fast (alice)",)),
        (("health",), ("database answers",)),
    ):  # fmt: skip
        done = fast.run(*words)
        assert (done.code, done.err) == (0, ""), words
        assert all(each in done.out for each in cells), done.out


def test_a_rollback_is_shown_as_the_job_by_which_it_is_taken_back(fast: CommandLine) -> None:
    def settled(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "db")
        kept = Snapshot(id="s1", name="monday", thin_id=1, size=dlv.size, status="available")
        legs = tuple(replace(leg, status="ready") for leg in dlv.legs)
        rows.save_dlv(work.connection, dlv, replace(dlv, status="detached", snapshots=(kept,), legs=legs))

    fast.client.desk.database.change(settled)
    done = fast.run("dlvs", "rollback", "db", "monday", "--yes")
    job = fast.must("jobs", "list", "--dlv", "db")[0]
    assert done.out == f"job {job['id']}: creating, the next attachment does it\n"
    assert f"dlvm wait job {job['id']} finished" in done.err


def test_a_clone_is_asked_for_and_shown(fast: CommandLine) -> None:
    assert fast.run("dlvs", "clone", "db", "new").err.endswith("hint: attach dlv db first\n")

    def attached(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "db")
        after = in_sync.attach(dlv, "h1", {leg.id for leg in dlv.legs}).dlv
        rows.save_dlv(work.connection, dlv, replace(after, status="attached", wanted="h1"))

    fast.client.desk.database.change(attached)
    plan = fast.must("dlvs", "clone", "db", "new", "--dry-run")
    assert plan["dlv"]["source"]["name"] == "db"
    job = fast.must("dlvs", "clone", "db", "new", "--mirrors", "1", "--initial-size", "512m")
    assert (job["kind"], job["dlv"]) == ("clone", "new")
    assert "copied from  db" in fast.run("dlvs", "show", "new").out
    assert fast.must("jobs", "cancel", job["id"])["status"] == "canceling"


def test_lists_are_filtered_and_of_any_length(fast: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drystone.cluster.client.api.PAGE", 2)
    names = [each["name"] for each in fast.must("dpvs", "list")]
    assert names == ["d1", "d2", "d3"]
    assert [each["name"] for each in fast.must("dpvs", "list", "--descending")] == names[::-1]
    fast.must("dpvs", "unavailable", "d2")
    assert [each["name"] for each in fast.must("dpvs", "list", "--status", "unavailable")] == ["d2"]
    assert [each["name"] for each in fast.must("dlvs", "list", "--dvg", "fast")] == ["db"]
    assert fast.must("dlvs", "list", "--ihost", "h1") == []
    assert fast.must("jobs", "list", "--dlv", "db") == []
    numbers = [line.split()[0] for line in fast.run("events").out.splitlines()]
    assert numbers == [str(each) for each in range(1, len(numbers) + 1)]
    assert len(numbers) > 8


@pytest.mark.parametrize(
    "words",
    [
        ("dpvs", "create", "d9", "--address", "a:1", "--portal", "a:2", "--size", "1g"),
        ("dpvs", "unavailable", "d1"),
        ("dpvs", "delete", "d1"),
        ("dvgs", "extend", "fast", "d1"),
        ("dvgs", "delete", "fast"),
        ("ihosts", "delete", "h1"),
        ("dlvs", "create", "other", "--dvg", "fast", "--size", "1g"),
        ("dlvs", "delete", "db"),
        ("dlvs", "attach", "db", "h1"),
        ("dlvs", "detach", "db", "--force"),
        ("dlvs", "extend", "db", "--size", "1g"),
        ("snapshots", "create", "db@monday"),
    ],
)
def test_a_rehearsal_changes_nothing(fast: CommandLine, words: tuple[str, ...]) -> None:
    before = fast.client.events()
    for more in ((), ("--json",)):
        done = fast.run(*words, "--dry-run", *more)
        assert (done.code, done.err) == (0, "")
        assert done.out
    assert fast.client.events() == before


def test_a_rehearsal_shows_the_exact_calls_and_tables(fast: CommandLine) -> None:
    shown = fast.run("dlvs", "create", "other", "--dvg", "fast", "--size", "1g", "--dry-run").out
    assert "PUT /v1/dlvs/" in shown
    assert "at d1:9400, epoch 1" in shown
    assert " linear /dev/drystone/slice/" in shown
    attached = fast.run("dlvs", "attach", "db", "h1", "--dry-run").out
    assert "for iqn.2026-11.example:h1" in attached
    assert "to h1 at h1:9401" in attached
    assert " handle_errors\n" in attached
    assert "message: create_thin 0" in attached
    assert "now it would be refused" in attached
    plain = fast.run("dpvs", "delete", "d1", "--dry-run").out
    assert plain == "DELETE http://127.0.0.1:1/v1/dpvs/d1\n"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("dlvs", "create", "../x", "--dvg", "fast", "--size", "1g"), 2, "is not valid"),
        (("dlvs", "show", ""), 2, "is not valid"),
        (("dlvs", "show", "x" * 200), 2, "200 characters"),
        (("dlvs", "show", "ü\udcff1"), 2, "is not valid"),
        (("dpvs", "list", "--location", "a\nb"), 2, "printable"),
        (("dpvs", "available", "d1", "--reason", "x" * 101), 2, "printable"),
        (("dlvs", "create", "db2", "--dvg", "fast", "--size", "99999999t"), 2, "larger than a block device"),
        (("dlvs", "create", "db2", "--dvg", "fast", "--size", "8388607t"), 2, "multiple of 4096"),
        (("dlvs", "create", "db2", "--dvg", "fast", "--size", "1000"), 2, "multiple of 4096"),
        (("dlvs", "create", "db2", "--dvg", "fast", "--size", "-1g"), 2, "whole number"),
        (("dlvs", "create", "db2", "--dvg", "fast", "--size", "1g", "--mirrors", "4"), 2, "1 to 3"),
        (("dlvs", "create", "db2", "--dvg", "fast", "--size", "1g", "--stripes", "0"), 2, "1 to 16"),
        (("dlvs", "create", "db2", "--dvg", "fast", "--size", "1g", "--block", "4k"), 2, "multiple of 64k"),
        (("dlvs", "create", "db2", "--dvg", "fast", "--size", "1g", "--initial-size", "2g"), 2, "initial size"),
        (("dpvs", "create", "d9", "--address", "nowhere", "--portal", "a:1", "--size", "1g"), 2, "HOST:PORT"),
        (("dpvs", "create", "d9", "--address", "a:99999", "--portal", "a:1", "--size", "1g"), 2, "HOST:PORT"),
        (("snapshots", "show", "db"), 2, "DLV@SNAPSHOT"),
        (("dlvs", "delete", "db", "--key", "a b"), 2, "without blanks"),
        (("dlvs", "list", "--patience", "nan"), 2, "no number of seconds"),
        (("dlvs", "list", "--patience", "-1"), 2, "no number of seconds"),
        (("dlvs", "list", "--answer-seconds", "inf"), 2, "no number of seconds"),
        (("dlvs", "list", "--answer-seconds", "0"), 2, "no number of seconds"),
        (("wait", "dlv", "db", "created", "--timeout", "soon"), 2, "no number of seconds"),
        (("wait", "dlv", "db", "finished"), 2, "is not waited to be"),
        (("dlvs", "show", "nothing"), 3, "there is no dlv 'nothing'"),
        (("dlvs", "create", "db2", "--dvg", "nothing", "--size", "1g"), 3, "there is no dvg"),
        (("snapshots", "delete", "db@monday"), 3, "has no snapshot"),
        (("dlvs", "create", "db", "--dvg", "fast", "--size", "1g"), 4, "there is a dlv"),
        (("dvgs", "delete", "fast"), 5, "has dpvs or dlvs"),
        (("dlvs", "attach", "db", "h1"), 5, "is creating"),
        (("dlvs", "create", "db2", "--dvg", "fast", "--size", "900g"), 8, "no room"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_a_line(fast: CommandLine, words: tuple[str, ...], code: int, text: str) -> None:
    asked = len(fast.server.asked)
    done = fast.run(*words)
    assert (done.code, done.out) == (code, "")
    line, *hint = done.err.splitlines()
    assert line.startswith("drystone: ")
    assert text in line
    assert len(hint) <= 1
    assert (len(fast.server.asked) == asked) == (code == 2), "nothing is sent that cannot be"


@pytest.mark.parametrize(
    ("token", "code", "text"),
    [
        ("a-stranger-of-the-cluster", 13, "a token of this cluster is needed"),
        (AGENT, 13, "h1 is an agent"),
        ("", 2, "does not hold one token"),
        ("two words", 2, "does not hold one token"),
        ("x\x1b[31my", 2, "does not hold one token"),
    ],
)
def test_who_has_no_token_of_the_cluster_sees_nothing(fast: CommandLine, token: str, code: int, text: str) -> None:
    fast.say(token)
    done = fast.run("dlvs", "list")
    assert (done.code, done.out) == (code, "")
    assert text in done.err


def test_a_token_file_that_is_open_or_missing_is_refused(fast: CommandLine) -> None:
    fast.token.chmod(0o644)
    assert "chmod o=" in fast.run("dlvs", "list").err
    fast.token.unlink()
    done = fast.run("dlvs", "list")
    assert (done.code, "no token file" in done.err) == (3, True)


def test_a_viewer_looks_and_changes_nothing(fast: CommandLine) -> None:
    fast.say(VIEWER)
    assert fast.must("dlvs", "list")[0]["name"] == "db"
    done = fast.run("dlvs", "delete", "db", "--json")
    assert (done.code, '"code": "refused"' in done.err) == (13, True)


def test_who_was_cut_off_asks_again_with_the_same_key_and_it_is_done_once(fast: CommandLine) -> None:
    fast.server.after = fail(2)
    done = fast.run("dlvs", "extend", "db", "--size", "8m")
    assert done.code == 0
    assert "cut off; trying again for 10 s" in done.err
    assert len(fast.must("jobs", "list")) == 1
    keys = [key for method, _, key in fast.server.asked if method == "POST"]
    assert len(keys) == 3
    assert len(set(keys)) == 1


@pytest.mark.parametrize("kind", [UnavailableError, TimedOutError])
def test_when_nobody_answers_the_key_is_told_and_it_goes_on_with_it(
    fast: CommandLine, kind: type[UnavailableError | TimedOutError]
) -> None:
    fast.server.after = fail(1, lambda: kind("cut off"))
    done = fast.run("dlvs", "extend", "db", "--size", "8m", "--patience", "0")
    assert (done.code, done.out) == (kind.exit_code, "")
    key = done.err.partition("--key ")[2].split()[0]
    again = fast.must("dlvs", "extend", "db", "--size", "8m", "--key", key)
    assert fast.must("jobs", "list") == [again]


def test_another_server_is_asked_where_one_is_gone(fast: CommandLine) -> None:
    gone = InProcess(fast.client, "http://127.0.0.1:2")
    gone.before = fail(99)
    assert fast.run("dlvs", "list", servers=[gone, fast.server]).code == 0
    assert (len(gone.asked), len(fast.server.asked)) == (1, 1)
    done = fast.run("health", servers=[gone, fast.server])
    assert (done.code, done.out.count("answers"), done.out.count("cut off")) == (6, 1, 1)


def test_ctrl_c_while_it_is_asked_for_tells_the_key(fast: CommandLine) -> None:
    fast.server.after = fail(1, KeyboardInterrupt)
    done = fast.run("dlvs", "extend", "db", "--size", "8m")
    assert done.code == 130
    key = done.err.partition("--key ")[2].split()[0]
    fast.must("dlvs", "extend", "db", "--size", "8m", "--key", key)
    assert len(fast.must("jobs", "list")) == 1


def test_ctrl_c_while_it_is_waited_for_tells_how_to_go_on(fast: CommandLine) -> None:
    looks = 0

    def interrupt() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise KeyboardInterrupt

    fast.server.before = interrupt
    done = fast.run("dlvs", "create", "other", "--dvg", "fast", "--size", "1g", "--wait")
    assert done.code == 130
    assert "dlv other: creating, no agent has been told of it yet" in done.err
    assert "wait for it again: dlvm wait dlv other created" in done.err
    assert fast.must("dlvs", "show", "other")["status"] == "creating"


@pytest.mark.parametrize("end", [KeyboardInterrupt, lambda: UnavailableError("cut off")])
def test_events_are_followed_until_the_end_which_tells_how_to_go_on(
    fast: CommandLine, end: Callable[[], BaseException]
) -> None:
    asked = 0

    def act() -> None:
        nonlocal asked
        asked += 1
        if asked == 2:
            fast.client.must("POST", "/dpvs/d1/unavailable", {})
        if asked == 3:
            raise end()

    fast.server.before = act
    done = fast.run("events", "--follow", "--patience", "0")
    assert done.code in {130, 6}
    last = done.out.splitlines()[-1]
    assert "dpv d1: unavailable" in last
    assert f"dlvm events --after {last.split()[0]} --follow" in done.err


def test_waiting_has_an_end(fast: CommandLine) -> None:
    done = fast.run("wait", "dlv", "db", "created", "--timeout", "0.2")
    assert done.code == 7
    assert "wait longer: dlvm wait dlv db created" in done.err


def test_what_is_so_already_is_not_waited_for(fast: CommandLine) -> None:
    assert fast.run("wait", "dlv", "nothing", "deleted").out == "dlv nothing: deleted\n"
    assert fast.run("wait", "dpv", "d1", "available").code == 0
    assert fast.run("wait", "dlv", "db", "detached").code == 0
    assert fast.must("dlvs", "detach", "db", "--wait") == {"detached": "dlv db"}
    gone = fast.run("wait", "dlv", "nothing", "created")
    assert (gone.code, "is gone; it was to be created" in gone.err) == (1, True)
    assert fast.must("dlvs", "delete", "db", "--wait") == {"deleted": "dlv db"}


def test_what_others_wrote_does_not_move_the_cursor() -> None:
    assert printable("ok\x1b[2J\r\nü") == "ok?[2J??ü"


def test_the_help_names_the_program_that_is_run() -> None:
    command = dlvs.get_command(click.Context(dlvs), "list")
    assert command is not None
    for name, shown in (("dlvm", "  dlvm dlvs list\n"), ("drystone", "  drystone cluster dlvs list\n")):
        assert shown in command.get_help(click.Context(command, parent=click.Context(dlvs, info_name=name)))
