"""The status page in Chromium: a fleet of real processes, seen on a phone and on a desk, with scripts and without."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

from drystone.testing.browser import DESK, PATIENCE, PHONE, Launch, Visit
from drystone.testing.fleet.processes import FleetProcesses, wait_until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ViewportSize

SIZES = pytest.mark.parametrize(("size", "scheme"), [(PHONE, "dark"), (DESK, "light")], ids=["phone", "desk"])
LONG_NAME = "a-host-whose-name-goes-on-without-any-blank-until-it-is-wider-than-a-phone.backups.example.org"
EVIL_NAME = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def hosts(fleet: FleetProcesses) -> FleetProcesses:
    """The fleet, with hosts of ordinary and of odd names."""
    url = fleet.storage[0].url
    assert fleet.client.ask(url, "PUT", "/backups").status == 200
    for host in ("web", "mail", LONG_NAME, EVIL_NAME):
        assert fleet.client.ask(url, "PUT", f"/backups/{host}/object", body=b"x" * 100_000).status == 200
    return fleet


@SIZES
def test_the_page_fits_and_loads_nothing_from_elsewhere(
    browser: Browser, hosts: FleetProcesses, size: ViewportSize, scheme: str
) -> None:
    url = hosts.mappers[0].url
    with browser.new_context(viewport=size, color_scheme="dark" if scheme == "dark" else "light") as context:
        visit = Visit(context.new_page(), f"{url}/status")
        visit.expect("All is well: 4 hosts with all copies.")
        visit.expect("Live")
        visit.expect("newest backup")
        text = visit.page.inner_text("body")
        for word in ("web", LONG_NAME, EVIL_NAME, "storage_1/data_", "storage_2/data_", "in sync", "a new host"):
            assert word in text, word
        assert visit.overflow() == 0
        assert visit.page.locator(".copy").count() == 8
        back = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", back))) < 200) is (scheme == "dark"), back
        assert visit.wrong == []
        assert {each.partition("/status")[0] for each in visit.loaded if not each.startswith("data:")} == {url}


def test_it_keeps_itself_up_to_date(browser: Browser, hosts: FleetProcesses) -> None:
    with browser.new_context(viewport=PHONE) as context:
        visit = Visit(context.new_page(), f"{hosts.mappers[0].url}/status")
        visit.expect("All is well")
        visit.page.evaluate("window.stays = true")
        answer = hosts.client.ask(hosts.storage[0].url, "PUT", "/backups/new-one/object", body=b"x")
        assert answer.status == 200
        visit.page.locator(".host", has_text="new-one").wait_for()
        assert visit.page.evaluate("window.stays"), "the page was loaded anew"
        hosts.client.ask(hosts.storage[0].url, "DELETE", "/backups/new-one/object")
        assert visit.wrong == []


def test_without_scripts_it_is_loaded_anew(chromium: Launch, hosts: FleetProcesses) -> None:
    with chromium("--blink-settings=scriptEnabled=false").new_context(viewport=PHONE) as context:
        visit = Visit(context.new_page(), f"{hosts.mappers[0].url}/status")
        visit.expect("with all copies")
        assert "Loaded anew every 5 seconds." in visit.page.inner_text("#live")
        assert visit.overflow() == 0
        with visit.page.expect_request("**/status", timeout=PATIENCE):
            pass
        visit.expect("with all copies")
        assert not [each for each in visit.loaded if each.endswith("/status/board")]


def test_a_dead_server_is_seen_and_so_is_its_return(browser: Browser, hosts: FleetProcesses) -> None:
    """By all who look, on a phone and on a desk at the same time."""
    with (
        browser.new_context(viewport=PHONE, color_scheme="dark") as phone,
        browser.new_context(viewport=DESK, color_scheme="light") as desk,
    ):
        visits = [Visit(each.new_page(), f"{hosts.mappers[0].url}/status") for each in (phone, desk)]
        for visit in visits:
            visit.expect("All is well")
        hosts.storage[1].kill()
        try:
            for visit in visits:
                visit.expect("1 server dead")
                visit.expect("has the only good copy of")
                visit.page.locator(".host .badge", has_text="degraded").first.wait_for()
                assert visit.overflow() == 0
        finally:
            hosts.storage[1].start()
        for visit in visits:
            visit.expect("All is well")
            visit.expect("Every host would still have a good copy")
            assert visit.wrong == []
    wait_until("all is as before", hosts.is_protected)


def test_a_mapper_that_does_not_answer_makes_the_page_say_that_it_is_old(
    browser: Browser, hosts: FleetProcesses
) -> None:
    with browser.new_context(viewport=PHONE) as context:
        visit = Visit(context.new_page(), f"{hosts.mappers[0].url}/status")
        visit.expect("Live")
        hosts.mappers[0].hang()
        try:
            visit.expect("No answer since")
            assert visit.overflow() == 0
        finally:
            hosts.mappers[0].resume()
        visit.expect("Live")
    wait_until("all is as before", hosts.is_protected)


def test_monitors_get_numbers_of_all_servers(hosts: FleetProcesses) -> None:
    mapper = httpx.get(f"{hosts.mappers[0].url}/metrics", trust_env=False)
    assert mapper.status_code == 200
    for line in ("drystone_mapper_leads 1.0", 'drystone_fleet_servers{state="alive"} 2.0'):
        assert line in mapper.text.splitlines()
    for each in hosts.storage:
        found = httpx.get(f"{each.url}/metrics", trust_env=False)
        assert found.status_code == 200
        assert 'drystone_storage_disks{health="good"} 3.0' in found.text.splitlines()
        assert "drystone_storage_requests_total" in found.text
