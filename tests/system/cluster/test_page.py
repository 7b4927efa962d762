"""The page in Chromium: an API server as a process, seen on a phone and on a desk, with scripts and without."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from drystone.cluster.model.dlv import Attachment
from drystone.cluster.state import rows
from drystone.cluster.state.database import Database, Work
from drystone.testing.browser import DESK, PATIENCE, PHONE, Launch, Visit
from drystone.testing.cluster.client import GIB, OPERATOR
from drystone.testing.cluster.processes import ApiProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ViewportSize

EVIL = "<img src=x onerror=alert(1)>"
LONG = "a-volume-whose-name-goes-on-without-a-blank-until-it-is-wider-than-a-phone"


class Cluster:
    """An API server, and its database: what agents and the monitor would record is written there."""

    def __init__(self, api: ApiProcess, database: Database) -> None:
        self.api = api
        self.database = database

    def make_dlv(self, name: str, ihost: str = "") -> None:
        """One whose legs are made; attached to an ihost, with a leg left behind and one that is copied to."""
        self.api.must("POST", "/dlvs", {"name": name, "dvg": "fast", "size": GIB, "stripes": 2})

        def settle(work: Work) -> None:
            dlv = rows.load_dlv(work.connection, name)
            legs = [replace(leg, status="ready") for leg in dlv.legs]
            after = replace(dlv, status="detached", reason="")
            if ihost:
                legs[1] = replace(legs[1], in_sync=False)
                legs[3] = replace(legs[3], in_sync=False, copying=True)
                held = Attachment(ihost=ihost, epoch=dlv.epoch)
                after = replace(after, status="attached", wanted=ihost, attachment=held)
            rows.save_dlv(work.connection, dlv, replace(after, legs=tuple(legs)))

        self.database.change(settle)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("page")
    url = f"sqlite:///{folder}/cluster.db"
    with ApiProcess(folder, url) as api:
        for name in ("d1", "d2", "d3"):
            wanted = {"name": name, "address": "a:1", "portal": "a:2", "size": 100 * GIB, "location": f"rack-{name}"}
            api.must("POST", "/dpvs", wanted)
            api.must("POST", f"/dpvs/{name}/available", {})
        api.must("POST", "/dvgs", {"name": "fast", "dpvs": ["d1", "d2", "d3"]})
        for name in ("h1", "h2"):
            api.must("POST", "/ihosts", {"name": name, "address": "a:1", "initiator": f"iqn.2026-11.example:{name}"})
            api.must("POST", f"/ihosts/{name}/available", {})
        database = Database(url)
        database.open()
        made = Cluster(api, database)
        made.make_dlv("db", "h1")
        made.make_dlv(LONG)
        api.must("POST", "/dpvs/d3/unavailable", {"reason": EVIL})
        yield made
        database.close()


def sign_in(context: BrowserContext, cluster: Cluster) -> Visit:
    """Show the token, as a person does."""
    visit = Visit(context.new_page(), cluster.api.told)
    assert visit.overflow() == 0
    visit.page.get_by_label("Token").fill(OPERATOR)
    visit.page.get_by_role("button", name="Sign in").click()
    visit.expect("Volumes (")
    return visit


@pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESK, "light")], ids=["phone", "desk"])
def test_a_volume_is_created_snapshotted_attached_and_failed_over(
    browser: Browser, cluster: Cluster, size: ViewportSize, scheme: str
) -> None:
    name = f"made-{scheme}"
    with browser.new_context(viewport=size, color_scheme="dark" if scheme == "dark" else "light") as context:
        visit = sign_in(context, cluster)
        page = visit.page
        for words in (
            "in sync",
            "left behind",
            "being copied to",
            "dpv away",
            EVIL,
            LONG,
            "rack-d1",
            "one good copy left",
        ):
            assert words in page.inner_text("body"), words
        assert visit.overflow() == 0
        page.get_by_role("link", name="Create a volume").click()
        page.get_by_label("Name").fill(name)
        page.get_by_label("Size").fill("1g")
        assert visit.overflow() == 0
        page.get_by_role("button", name="Show what will be done").click()
        visit.expect("What the agents are told then")
        assert page.locator(".copy", has_text="planned").count() == 4
        assert visit.overflow() == 0
        page.get_by_role("button", name="Create it").click()
        visit.expect("no agent has been told of it yet")
        page.get_by_role("link", name="Snapshot").click()
        page.get_by_label("Name of the snapshot").fill("monday")
        page.get_by_role("button", name="Show what will be done").click()
        page.get_by_role("button", name="Make it").click()
        page.locator(".chip", has_text="monday").wait_for()
        cluster.make_dlv(f"{name}-2")
        page.goto(f"{cluster.api.told}/dlvs/{name}-2")
        page.get_by_role("link", name="Attach").click()
        page.get_by_label("Ihost").select_option("h2" if scheme == "dark" else "h1")
        page.get_by_role("button", name="Show what will be done").click()
        visit.expect("What the agents are told then")
        page.get_by_role("button", name="Attach it").click()
        page.locator(".badge", has_text="being attached").wait_for()
        assert cluster.api.must("GET", f"/dlvs/{name}-2")["status"] == "attaching"
        show_resize_and_backup(visit, cluster, name)
        cluster.make_dlv(f"{name}-3", "h2" if scheme == "light" else "h1")
        page.goto(f"{cluster.api.told}/dlvs/{name}-3")
        page.get_by_role("link", name="Fail over").click()
        page.get_by_label("Why").fill("it burns")
        page.get_by_role("button", name="Show what will be done").click()
        visit.expect("it burns")
        button = page.get_by_role("button", name="Take it by force")
        assert button.evaluate("each => getComputedStyle(each).color != getComputedStyle(each).backgroundColor")
        button.click()
        page.locator(".badge", has_text="its ihost is being shut out").wait_for()
        assert visit.overflow() == 0
        cluster.api.must("POST", f"/ihosts/{'h2' if scheme == 'light' else 'h1'}/available", {})
        assert visit.wrong == []
        assert {each[: len(cluster.api.told)] for each in visit.loaded if not each.startswith("data:")} == {
            cluster.api.told
        }


def show_resize_and_backup(visit: Visit, cluster: Cluster, name: str) -> None:
    """Of a volume that is attached; and how a dpv would be evacuated."""
    page, dlv = visit.page, f"{name}-4"
    cluster.make_dlv(dlv, "h1")
    page.goto(f"{cluster.api.told}/dlvs/{dlv}")
    page.get_by_role("link", name="Resize").click()
    page.get_by_label("Size").fill("2g")
    page.get_by_label("The file system on it").select_option("true")
    page.get_by_role("button", name="Show what will be done").click()
    visit.expect("What the agents are told then")
    assert visit.overflow() == 0
    page.get_by_role("button", name="Make it larger").click()
    visit.expect("2.0 GiB")
    page.get_by_role("link", name="Back up").click()
    page.get_by_label("To which repository").fill("weekly")
    page.get_by_role("button", name="Show what will be done").click()
    page.get_by_role("button", name="Back it up").click()
    page.locator(".chip", has_text="backup-").wait_for()
    assert visit.overflow() == 0
    (made,) = cluster.api.must("GET", f"/backups?dlv={dlv}")["items"]
    assert (made["repository"], cluster.api.must("GET", f"/dlvs/{dlv}")["size"]) == ("weekly", 2 * GIB)
    cluster.api.must("POST", "/dpvs/d3/available", {})  # where its legs can go
    page.goto(f"{cluster.api.told}/")
    page.locator("#dpv-d1").get_by_role("link", name="Evacuate").click()
    visit.expect("goes from d1 to d3")
    cluster.api.must("POST", "/dpvs/d3/unavailable", {"reason": EVIL})
    assert visit.overflow() == 0


def test_it_keeps_itself_up_to_date_and_leaves_the_keyboard_where_it_is(browser: Browser, cluster: Cluster) -> None:
    with browser.new_context(viewport=DESK) as context:
        visit = sign_in(context, cluster)
        visit.expect("Live")
        visit.page.evaluate("window.stays = true")
        visit.page.locator("#legend summary").click()
        link = visit.page.locator("#dlv-db nav a", has_text="Snapshot")
        link.focus()
        cluster.api.must("POST", "/dlvs/db/snapshots", {"name": "seen-live"})
        visit.page.locator("#dlv-db .chip", has_text="seen-live").wait_for()
        assert visit.page.evaluate("window.stays"), "the page was loaded anew"
        assert visit.page.evaluate("document.activeElement.getAttribute('href')") == "/do/snapshot?of=db"
        assert visit.page.locator("#legend").get_attribute("open") is not None
        assert visit.wrong == []


def test_without_scripts_it_is_loaded_anew_and_changes_go_on(chromium: Launch, cluster: Cluster) -> None:
    with chromium("--blink-settings=scriptEnabled=false").new_context(viewport=PHONE) as context:
        visit = sign_in(context, cluster)
        assert "Loaded anew every 5 seconds." in visit.page.inner_text("#live")
        with visit.page.expect_request(f"{cluster.api.told}/", timeout=PATIENCE):
            pass
        change = Visit(context.new_page(), f"{cluster.api.told}/do/snapshot?of=db&name=unscripted&sure=0")
        change.page.get_by_role("button", name="Make it").click()
        change.page.locator(".chip", has_text="unscripted").wait_for()
        assert not [each for each in visit.loaded if each.endswith("/board")]


def test_another_sites_form_changes_nothing(browser: Browser, cluster: Cluster, tmp_path: Path) -> None:
    """Its page is a file here, which is another site to a browser."""
    lure = tmp_path / "lure.html"
    lure.write_text(
        f'<form method="post" action="{cluster.api.told}/do/snapshot"><input name="key" value="k">'
        '<input name="of" value="db"><input name="name" value="stolen"><button>Win</button></form>'
    )
    with browser.new_context() as context:
        sign_in(context, cluster)
        page = context.new_page()
        page.goto(lure.as_uri())
        page.get_by_role("button", name="Win").click()
        page.get_by_text("Sign in first.").wait_for()
    names = [each["name"] for each in cluster.api.must("GET", "/dlvs/db")["snapshots"]]
    assert "stolen" not in names


def test_a_server_that_is_gone_makes_the_page_say_that_it_is_old(browser: Browser, cluster: Cluster) -> None:
    with browser.new_context(viewport=PHONE) as context:
        visit = sign_in(context, cluster)
        visit.expect("Live")
        cluster.api.kill()
        try:
            visit.expect("No answer since")
            assert visit.overflow() == 0
        finally:
            cluster.api.start()
