"""Programs that speak S3 keep a folder in a real fleet and get it back: as it is, and while a server dies."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from drystone.fleet.documents import Placement
from drystone.fleet.orders import LeadOrder
from drystone.testing.backup_command import BackupCommand, check_backups_live
from drystone.testing.fleet.processes import FleetProcesses, Server, wait_until
from drystone.testing.fleet.programs import PROGRAMS, Place, Program, finish, sum_tree, write_tree

SHOWN = "large"


def place_at(fleet: FleetProcesses, server: Server, bucket: str, folder: Path) -> Place:
    folder.mkdir()
    return Place(server.url, fleet.key, bucket, folder)


@pytest.fixture(autouse=True)
def whole(fleet: FleetProcesses) -> Iterator[None]:
    """Whatever a test did, or did not come to do: the next one finds all servers, and both copies."""
    yield
    for each in fleet.everybody:
        each.resume()
        if not each.pid:
            each.start()
    wait_until("both copies are there again", fleet.is_protected)


def is_installed(name: str) -> bool:
    return shutil.which(PROGRAMS[name].command) is not None


def find_program(name: str) -> Program:
    if not is_installed(name):
        pytest.skip(f"{PROGRAMS[name].command} is not installed")
    return PROGRAMS[name]


def placement_of(fleet: FleetProcesses, bucket: str, host: str) -> Placement:
    return next(each for each in fleet.map().placements if (each.namespace, each.host) == (bucket, host))


def restored(name: str, source: Path, back: Path) -> dict[str, str]:
    """What was downloaded; restic puts it where it was."""
    return sum_tree(back / source.relative_to("/") if name == "restic" else back)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_folder_goes_there_and_comes_back(name: str, fleet: FleetProcesses, tmp_path: Path) -> None:
    program = find_program(name)
    source, back = tmp_path / "source", tmp_path / "back"
    write_tree(source, 1)
    back.mkdir()
    here, there = (place_at(fleet, each, f"trip-{name}", tmp_path / each.name) for each in fleet.storage)
    program.run(here, program.make(here))
    program.run(here, program.upload(here, source))
    assert SHOWN in program.run(there, program.show(there))
    program.run(there, program.download(there, back))
    assert restored(name, source, back) == sum_tree(source)
    program.run(there, program.remove(there))
    if name != "restic":
        status, left = fleet.client.list_keys(here.url, here.bucket)
        assert (status, left) == (200, {})
        assert fleet.client.ask(here.url, "DELETE", f"/{here.bucket}").status == 204


class Journey:
    """A program that uploads a folder while the leader of its host dies, and gets it back from each server alone.

    :ivar found: what became of it, once it is known.
    """

    def __init__(self, name: str, fleet: FleetProcesses, folder: Path) -> None:
        self.name, self.bucket, self.program = name, f"failover-{name}", PROGRAMS[name]
        self.found: list[Future[None]] = []
        self._fleet = fleet
        self._folder = folder
        self._source = folder / "source"
        self._begun: tuple[list[str], subprocess.Popen[str]] | None = None
        self._later: list[list[str]] = []
        write_tree(self._source, 2, large=40 << 20)

    def prepare(self, entry: Server, leader: Server) -> None:
        """Make the bucket, and have a server lead its host."""
        place = place_at(self._fleet, entry, self.bucket, self._folder / "prepare")
        self.program.run(place, self.program.make(place))
        assert self._fleet.client.ask(place.url, "PUT", f"/{self.bucket}/host/begin").status == 200
        order = LeadOrder(placement_of(self._fleet, self.bucket, "host").id, leader.name)
        assert self._fleet.ask_mapper("/internal/lead", Placement, order).leader == leader.name

    def begin(self, entry: Server) -> None:
        """Upload some of it, and stand still."""
        place = place_at(self._fleet, entry, self.bucket, self._folder / "first")
        words, *self._later = self.program.upload(place, self._source)
        process = self.program.start(place, words)
        self._begun = words, process
        wait_until("something was stored", lambda: self._has_stored(entry) or process.poll() is not None)
        if process.poll() is None:
            process.send_signal(signal.SIGSTOP)

    def _has_stored(self, entry: Server) -> bool:
        client, answer = (
            self._fleet.client,
            self._fleet.client.ask(entry.url, "GET", f"/{self.bucket}", {"uploads": ""}),
        )
        return len(client.list_keys(entry.url, self.bucket)[1]) > 2 or b"<Upload>" in answer.body

    def go_on(self) -> None:
        """From where it stands."""
        if self._begun is not None:
            self._begun[1].send_signal(signal.SIGCONT)

    def end(self, entry: Server) -> None:
        """Finish the upload, and get all of it back."""
        assert self._begun is not None, "it was begun"
        finish(*self._begun)
        self.fetch(entry, self._later)

    def fetch(self, entry: Server, before: list[list[str]] | None = None) -> None:
        """Get all of it back from a server. :param before: commands that are run first."""
        back = self._folder / f"from-{entry.name}"
        back.mkdir()
        place = place_at(self._fleet, entry, self.bucket, self._folder / entry.name)
        self.program.run(place, before or [])
        self.program.run(place, self.program.download(place, back))
        assert restored(self.name, self._source, back) == sum_tree(self._source)

    def stop(self) -> None:
        """End what still runs."""
        if self._begun is not None and self._begun[1].poll() is None:
            self._begun[1].kill()
            self._begun[1].communicate()


@pytest.fixture(scope="module")
def journeys(fleet: FleetProcesses, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Journey]]:
    """Of all programs, through the same two failovers: most of the time nobody does anything but wait for those."""
    victim, survivor = fleet.storage
    made = {name: Journey(name, fleet, tmp_path_factory.mktemp(name)) for name in PROGRAMS if is_installed(name)}
    with ThreadPoolExecutor(len(made)) as pool:

        def go(step: Callable[[Journey], None]) -> None:
            begun = {each.name: pool.submit(step, each) for each in made.values()}
            for name, future in begun.items():
                made[name].found.append(future)
                future.exception()

        try:
            go(lambda each: each.prepare(survivor, victim))
            wait_until("both copies are there again", fleet.is_protected)
            go(lambda each: each.begin(survivor))
            victim.kill()
            for each in made.values():
                each.go_on()
            go(lambda each: each.end(survivor))
            victim.start()
            wait_until("both copies are there again", fleet.is_protected)
            survivor.kill()
            go(lambda each: each.fetch(victim))
            survivor.start()
            wait_until("both copies are there again", fleet.is_protected)
            yield made
        finally:
            for each in made.values():
                each.stop()


@pytest.mark.parametrize("name", PROGRAMS)
def test_servers_die_meanwhile(name: str, journeys: dict[str, Journey]) -> None:
    find_program(name)
    assert len(journeys[name].found) == 4
    for step in journeys[name].found:
        step.result()


def backup_command(fleet: FleetProcesses, server: Server, folder: Path) -> BackupCommand:
    place = Place(server.url, fleet.key, "", folder)
    return BackupCommand(place.variables, fleet.key.secret, unset="AWS_")


def test_our_own_backups_live_there(fleet: FleetProcesses, tmp_path: Path) -> None:
    assert fleet.client.ask(fleet.storage[0].url, "PUT", "/own-backups").status == 200
    command = backup_command(fleet, fleet.storage[1], tmp_path)
    work = tmp_path / "work"
    work.mkdir()
    check_backups_live(command, "s3://own-backups@us-east-1/host/volume", work, ("delete", "{first}"))


def test_our_own_backup_survives_a_server(fleet: FleetProcesses, tmp_path: Path) -> None:
    bucket = "own-failover"
    assert fleet.client.ask(fleet.storage[0].url, "PUT", f"/{bucket}").status == 200
    assert fleet.client.ask(fleet.storage[0].url, "PUT", f"/{bucket}/host/begin").status == 200
    leader = placement_of(fleet, bucket, "host").leader
    victim = next(each for each in fleet.storage if each.name == leader)
    survivor = next(each for each in fleet.storage if each is not victim)
    command = backup_command(fleet, survivor, tmp_path)
    image, dest = tmp_path / "image", f"s3://{bucket}/host/volume"
    write_tree(tmp_path / "tree", 3, large=64 << 20)
    (tmp_path / "tree" / "large").rename(image)
    process = command.start("create", image, "--dest", dest, "--no-encryption")
    wait_until(
        "something was stored",
        lambda: len(fleet.client.list_keys(survivor.url, bucket)[1]) > 2 or process.poll() is not None,
    )
    victim.kill()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    command.run("verify", out.strip())
    command.run("restore", out.strip(), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == image.read_bytes()
