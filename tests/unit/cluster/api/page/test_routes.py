"""The page over a database: who gets in, what is shown, and that changes go the API's way."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace
from tests.unit.cluster.api.page.visitor import HOST, Visitor

from drystone.cluster.model.dlv import Attachment, Dlv
from drystone.cluster.state import rows
from drystone.cluster.state.database import Work
from drystone.testing.cluster.client import AGENT, OPERATOR, VIEWER, Client


@pytest.fixture
def alice(client: Client) -> Visitor:
    """An operator, of a cluster with a dvg and two ihosts."""
    client.make_group("d1", "d2", "d3")
    client.make_ihost("h1")
    client.make_ihost("h2")
    return Visitor(client)


def settle(client: Client, name: str, ihost: str = "") -> Dlv:
    """Have a dlv as agents and monitor would leave it: detached, or attached to an ihost."""

    def act(work: Work) -> Dlv:
        dlv = rows.load_dlv(work.connection, name)
        legs = tuple(replace(each, status="ready") for each in dlv.legs)
        after = replace(dlv, status="detached", reason="", legs=legs)
        if ihost:
            held = Attachment(ihost=ihost, epoch=dlv.epoch)
            after = replace(after, status="attached", wanted=ihost, attachment=held)
        return rows.save_dlv(work.connection, dlv, after)

    return client.desk.database.change(act)


def test_who_has_not_signed_in_is_asked_for_a_token(client: Client) -> None:
    for token in ("", AGENT, "somebody-elses-token"):
        stranger = Visitor(client, token)
        assert "Sign in" in stranger.look("/")
        assert "Sign in" in stranger.look("/do/create")
        assert stranger.send("GET", "/board").status_code == 401
        assert stranger.post("/do/create", {"key": "k", "name": "db"}).status_code == 401


def test_a_token_is_kept_where_no_script_and_no_other_site_gets_at_it(client: Client) -> None:
    stranger = Visitor(client, "")
    answer = stranger.post("/sign-in", {"token": f" {OPERATOR} "})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.headers["set-cookie"] == (
        f"drystone-cluster-token={OPERATOR}; Path=/; HttpOnly; SameSite=Strict"
    )  # fmt: skip
    forgotten = Visitor(client).post("/sign-out", {}).headers["set-cookie"]
    assert forgotten.startswith("drystone-cluster-token=; Path=/; Max-Age=0;")


@pytest.mark.parametrize("token", ["", "wrong-token-of-mine", AGENT])
def test_a_wrong_token_is_refused_and_not_kept(client: Client, token: str) -> None:
    answer = Visitor(client, "").post("/sign-in", {"token": token})
    assert answer.status_code == 401
    assert "No operator or viewer has this token" in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "http://elsewhere"},
        {"Origin": "http://api:8080"},
        {"Origin": "file://api"},
        {"Origin": HOST, "Sec-Fetch-Site": "same-site"},
        {"Origin": HOST, "Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["/do/create", "/sign-in", "/sign-out"])
def test_a_form_that_another_site_sends_is_refused(alice: Visitor, headers: dict[str, str], path: str) -> None:
    form = {"key": "k", "name": "db", "dvg": "fast", "size": "1g", "token": OPERATOR}
    answer = alice.send("POST", path, form, headers)
    assert answer.status_code in {403, 409}
    assert "was not sent by a form of this page" in answer.text
    assert "set-cookie" not in answer.headers
    assert alice.client.must("GET", "/dlvs")["items"] == []


def test_the_cookie_opens_the_page_alone(alice: Visitor) -> None:
    assert alice.send("GET", "/v1/dlvs").status_code == 401


def test_a_viewer_sees_all_and_changes_nothing(alice: Visitor) -> None:
    alice.client.make_dlv()
    eve = Visitor(alice.client, VIEWER)
    text = eve.look("/")
    assert "eve, may look" in text
    assert "/do/" not in text
    assert "/do/" not in eve.look("/dlvs/db")
    assert "is a viewer" in eve.look("/do/create", 403)
    assert eve.post("/do/delete", {"key": "k", "of": "db"}).status_code == 403
    assert alice.client.must("GET", "/dlvs/db")["name"] == "db"


def test_nothing_comes_from_elsewhere_and_no_script_is_written_into_a_page(alice: Visitor) -> None:
    alice.client.make_dlv()
    for path in ("/", "/dlvs/db", "/do/create", "/do/attach?of=db", "/do/extend?of=db&size=1g&sure=0"):
        answer = alice.send("GET", path)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "form-action 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        loaded = re.findall(r'(?:src|href|action)="([^"]*)"', answer.text)
        assert {each for each in loaded if not each.startswith("/")} == {"data:,"}
        assert not re.search(r"<script>|<style| style=| on[a-z]+=", answer.text)


def test_the_changing_part_is_the_one_that_the_page_has(alice: Visitor) -> None:
    alice.client.make_dlv()
    for path in ("/", "/dlvs/db"):
        part = alice.look(f"{path.rstrip('/')}/board")
        assert part.strip() in alice.look(path)


def test_an_empty_cluster_says_what_to_do(client: Client) -> None:
    text = Visitor(client).look("/")
    assert "There is nothing here yet" in text
    assert "dlvm dpvs create" in text
    assert '<details id="legend" class="card" open>' in text


def test_a_volume_is_created_as_it_was_shown(alice: Visitor) -> None:
    text = alice.look("/do/create")
    assert '<option value="fast">fast</option>' in text
    path = "/do/create?sure=0&name=db&dvg=fast&size=1g&mirrors=2&stripes=1&initial_size="
    shown = alice.look(path)
    assert "<strong>creating</strong> dlv <bdi>db</bdi>: 4 legs in dvg fast" in shown
    assert shown.count('<div class="copy quiet">') == 4
    assert "<code>PUT /v1/dlvs/" in shown
    assert "linear /dev/drystone/slice/" in shown
    assert alice.client.must("GET", "/dlvs")["items"] == [], "a preview changed something"
    events = len(alice.client.events())
    answer = alice.sure(path)
    assert (answer.status_code, answer.headers["location"]) == (303, "/dlvs/db")
    made = alice.client.must("GET", "/dlvs/db")
    assert (made["size"], made["mirrors"], len(made["legs"])) == (1 << 30, 2, 4)
    assert alice.client.must("GET", "/events?limit=1000")["items"][events]["caller"] == "alice"
    assert "no agent has been told of it yet" in alice.look("/dlvs/db")


def test_a_button_that_is_pressed_twice_does_it_once(alice: Visitor) -> None:
    alice.client.make_dlv()
    form = {"key": "one", "of": "db", "name": "monday"}
    for _ in range(2):
        assert alice.post("/do/snapshot", form).status_code == 303
    assert len(alice.client.must("GET", "/dlvs/db")["snapshots"]) == 1
    refused = alice.post("/do/snapshot", {**form, "name": "tuesday"})
    assert refused.status_code == 409
    assert "was used for another request" in refused.text


@pytest.mark.parametrize("key", ["", "k" * 101, "ä", "a\nb"])
def test_a_form_without_a_proper_key_does_nothing(alice: Visitor, key: str) -> None:
    alice.client.make_dlv()
    assert alice.post("/do/snapshot", {"key": key, "of": "db", "name": "monday"}).status_code == 400
    assert alice.client.must("GET", "/dlvs/db")["snapshots"] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "x"}, "&#39;x&#39; is not valid"),
        ({"name": "<img src=x>"}, "&lt;img"),
        ({"size": ""}, "is not a whole number"),
        ({"size": "99999999999999999999g"}, "larger than a block device"),
        ({"size": "5000"}, "$.size"),
        ({"mirrors": "9"}, "$.mirrors"),
        ({"stripes": "many"}, "$.stripes"),
        ({"dvg": "slow"}, "there is no dvg"),
        ({"other": "1"}, "unknown field"),
        ({"size": "9000000g"}, "there is no room"),
    ],
)
def test_what_is_wrong_is_said_at_the_form_which_stays_filled_in(
    alice: Visitor, change: dict[str, str], words: str
) -> None:
    values = {"name": "db", "dvg": "fast", "size": "1g", "mirrors": "2", "stripes": "1", **change}
    text = alice.send("GET", "/do/create?sure=0&" + "&".join(f"{key}={value}" for key, value in values.items())).text
    assert words in text
    assert "<img src" not in text
    assert "Show what will be done" in text
    assert "Nothing is changed yet." in text
    answer = alice.post("/do/create", {"key": "k", **values})
    assert 400 <= answer.status_code < 500
    assert alice.client.must("GET", "/dlvs")["items"] == []


def test_attach_detach_snapshot_extend_and_delete(alice: Visitor) -> None:
    client = alice.client
    client.make_dlv()
    settle(client, "db")
    assert alice.sure("/do/attach?sure=0&of=db&ihost=h1").headers["location"] == "/dlvs/db"
    assert client.must("GET", "/dlvs/db")["wanted"] == "h1"
    settle(client, "db", "h1")
    assert "/dev/mapper/drystone-dlv-db" in alice.look("/dlvs/db")
    alice.sure("/do/snapshot?sure=0&of=db&name=monday")
    assert "<bdi>monday</bdi>" in alice.look("/")
    alice.sure("/do/extend?sure=0&of=db&size=1g")
    assert "Jobs under way (1)" in alice.look("/")
    alice.sure("/do/delete-snapshot?of=db&name=monday")
    assert client.must("GET", "/dlvs/db")["snapshots"] == []
    alice.sure("/do/detach?of=db")
    assert client.must("GET", "/dlvs/db")["status"] == "detaching"
    assert "is attached to h1" in alice.look("/do/delete?of=db", 409)


def test_a_volume_that_no_agent_knows_is_deleted_at_once(alice: Visitor) -> None:
    alice.client.make_dlv()
    assert "it is gone at once" in alice.look("/do/delete?of=db")
    assert alice.sure("/do/delete?of=db").headers["location"] == "/"
    assert alice.client.send("GET", "/dlvs/db").status_code == 404


def test_a_failover_calls_the_ihost_unavailable_and_has_it_shut_out_or_does_neither(alice: Visitor) -> None:
    client = alice.client
    client.make_dlv()
    settle(client, "db")
    assert "is attached nowhere" in alice.look("/do/fail-over?of=db&sure=0", 400)
    settle(client, "db", "h1")
    shown = alice.look("/do/fail-over?of=db&reason=it+burns&sure=0")
    assert "<strong>unavailable</strong> ihost <bdi>h1</bdi>: it burns" in shown
    assert "<strong>fencing</strong> dlv <bdi>db</bdi>" in shown
    assert client.must("GET", "/ihosts/h1")["status"] == "available", "a preview changed something"
    alice.sure("/do/fail-over?of=db&reason=it+burns&sure=0")
    assert client.must("GET", "/dlvs/db")["status"] == "fencing"
    assert client.must("GET", "/ihosts/h1")["status"] == "unavailable"
    alice.sure("/do/ihost-available?of=h1&sure=0&reason=")
    assert client.must("GET", "/ihosts/h1")["status"] == "available"


def settle_snapshot(client: Client, name: str, snapshot: str) -> None:
    """Have a snapshot of a dlv be made."""

    def act(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, name)
        made = tuple(replace(each, status="available") for each in dlv.snapshots if each.name == snapshot)
        rows.save_dlv(work.connection, dlv, replace(dlv, snapshots=made))

    client.desk.database.change(act)


def test_resize_clone_back_up_and_roll_back(alice: Visitor) -> None:
    client = alice.client
    client.make_dlv()
    settle(client, "db", "h1")
    alice.sure("/do/snapshot?sure=0&of=db&name=monday")
    settle_snapshot(client, "db", "monday")
    page = alice.look("/dlvs/db")
    assert all(f"/do/{each}?of=db" in page for each in ("resize", "clone", "back-up")), page
    assert "/do/clone?of=db&amp;snapshot=monday" in page
    assert "/do/roll-back" not in page
    shown = alice.look("/do/resize?sure=0&of=db&size=2g&grow_filesystem=true")
    assert "4194304" in shown, "sectors of the larger device"
    assert client.must("GET", "/dlvs/db")["size"] == 1 << 30, "a preview changed something"
    alice.sure("/do/resize?sure=0&of=db&size=2g&grow_filesystem=true")
    assert (client.must("GET", "/dlvs/db")["size"], client.must("GET", "/dlvs/db")["fill"] > 0) == (2 << 30, True)
    assert "is not made smaller" in alice.look("/do/resize?sure=0&of=db&size=1g&grow_filesystem=false", 409)
    answer = alice.sure("/do/clone?sure=0&of=db&name=copy&snapshot=monday")
    assert answer.headers["location"] == "/dlvs/copy"
    assert client.must("GET", "/dlvs/copy")["source"]["name"] == "db"
    alice.sure("/do/back-up?sure=0&of=db&repository=nightly")
    assert [each["repository"] for each in client.must("GET", "/backups")["items"]] == ["nightly"]
    assert "s3" in alice.look("/do/back-up?sure=0&of=db&repository=s3://bucket", 400)
    client.make_dlv("old")
    settle(client, "old")
    alice.sure("/do/snapshot?sure=0&of=old&name=monday")
    settle_snapshot(client, "old", "monday")
    assert "/do/roll-back?of=old&amp;snapshot=monday" in alice.look("/dlvs/old")
    shown = alice.look("/do/roll-back?of=old&snapshot=monday")
    assert "is lost for good" in shown
    assert client.must("GET", "/dlvs/old")["rollback"] is None
    alice.sure("/do/roll-back?of=old&snapshot=monday")
    assert client.must("GET", "/dlvs/old")["rollback"]["thin_id"] == 2


def test_a_dpv_is_evacuated_as_it_was_shown(alice: Visitor) -> None:
    client = alice.client
    client.make_dlv()
    settle(client, "db", "h1")
    on = client.must("GET", "/dlvs/db")["legs"][0]["dpv"]
    shown = alice.look(f"/do/evacuate?of={on}")
    assert "What comes of it" in shown
    assert re.search(f"a leg of db, .* goes from {on} to d", shown)
    assert client.must("GET", f"/dpvs/{on}/evacuation")["status"] == "none"
    alice.sure(f"/do/evacuate?of={on}")
    assert client.must("GET", f"/dpvs/{on}/evacuation")["status"] == "evacuating"
    assert "its legs go elsewhere" in alice.look("/")
    alice.sure(f"/do/stay?of={on}")
    assert client.must("GET", f"/dpvs/{on}/evacuation")["status"] == "none"
    assert "there is no dpv" in alice.look("/do/evacuate?of=none", 404)


def test_a_dpv_is_taken_out_of_use_and_back(alice: Visitor) -> None:
    alice.client.make_dlv()
    settle(alice.client, "db")
    alice.sure("/do/dpv-unavailable?of=d1&sure=0&reason=disk+broke")
    text = alice.look("/")
    assert "1 dpv unavailable (d1)" in text
    assert "in sync · dpv away" in text
    assert "disk broke" in text
    alice.sure("/do/dpv-available?of=d1&sure=0&reason=")
    assert "All is well" in alice.look("/")


def test_what_is_not_there_is_a_page_that_says_so(alice: Visitor) -> None:
    for path in (
        "/dlvs/nope",
        "/dlvs/%3Cimg%3E",
        "/do/nothing",
        "/do/detach?of=nope",
        "/do/dpv-available?of=nope&sure=0",
    ):
        text = alice.look(path, 404)
        assert "there is no" in text
        assert "<img" not in text


def test_many_volumes_are_cut_off_and_those_in_trouble_come_first(
    alice: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drystone.cluster.api.page.reading.MOST_DLVS", 2)
    for name in ("aa", "bb", "cc", "dd"):
        alice.client.make_dlv(name)
        settle(alice.client, name)

    def lose(work: Work) -> None:
        dlv = rows.load_dlv(work.connection, "dd")
        rows.save_dlv(work.connection, dlv, replace(dlv, legs=(replace(dlv.legs[0], in_sync=False), *dlv.legs[1:])))

    alice.client.desk.database.change(lose)
    text = alice.look("/")
    assert re.findall(r'id="dlv-(\w+)"', text) == ["dd", "aa"]
    assert "Volumes (4)" in text
    assert "2 more volumes" in text


def test_the_api_is_described_without_the_page(alice: Visitor) -> None:
    paths = alice.client.must("GET", "/schema/openapi.json")["paths"]
    assert all(path.startswith("/v1/") for path in paths)
