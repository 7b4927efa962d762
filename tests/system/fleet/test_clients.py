"""Programs that speak S3 keep a folder in a real fleet and get it back: as it is, and while a server dies."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from drystone.fleet.documents import Placement
from drystone.testing.backup_command import BackupCommand, check_backups_live
from drystone.testing.fleet.processes import FleetProcesses, Server, wait_until
from drystone.testing.fleet.programs import PROGRAMS, Place, Program, finish, sum_tree, write_tree

SHOWN = "large"


def place_at(fleet: FleetProcesses, server: Server, bucket: str, folder: Path) -> Place:
    folder.mkdir()
    return Place(server.url, fleet.key, bucket, folder)


def find_program(name: str) -> Program:
    program = PROGRAMS[name]
    if shutil.which(program.command) is None:
        pytest.skip(f"{program.command} is not installed")
    return program


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


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_server_dies_meanwhile(name: str, fleet: FleetProcesses, tmp_path: Path) -> None:
    program = find_program(name)
    source, back = tmp_path / "source", tmp_path / "back"
    write_tree(source, 2, large=40 << 20)
    back.mkdir()
    bucket = f"failover-{name}"
    first = place_at(fleet, fleet.storage[0], bucket, tmp_path / "first")
    program.run(first, program.make(first))
    assert fleet.client.ask(first.url, "PUT", f"/{bucket}/host/begin").status == 200
    leader = placement_of(fleet, bucket, "host").leader
    victim = next(each for each in fleet.storage if each.name == leader)
    survivor = next(each for each in fleet.storage if each is not victim)
    place = place_at(fleet, survivor, bucket, tmp_path / "place")

    words, *later = program.upload(place, source)
    process = program.start(place, words)
    wait_until(
        "something was stored",
        lambda: len(fleet.client.list_keys(place.url, bucket)[1]) > 2 or process.poll() is not None,
    )
    victim.kill()
    finish(words, process)
    program.run(place, later)
    program.run(place, program.download(place, back))
    assert restored(name, source, back) == sum_tree(source)

    victim.start()
    wait_until("both copies are there again", fleet.is_protected)
    survivor.kill()
    again, place = tmp_path / "again", place_at(fleet, victim, bucket, tmp_path / "victim")
    again.mkdir()
    program.run(place, program.download(place, again))
    assert restored(name, source, again) == sum_tree(source)
    survivor.start()
    wait_until("both copies are there again", fleet.is_protected)


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
    victim.start()
    wait_until("both copies are there again", fleet.is_protected)
