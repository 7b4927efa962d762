"""The driver devicemapper on a simulated machine: what it says that a change would do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from drystone.base.errors import UnsupportedError
from drystone.base.names import new_uuid
from drystone.dvm.check import check
from drystone.dvm.program import Program, parse_program
from drystone.dvm.text import render_text
from drystone.testing.volume_host import DATA, METADATA, PatientClock, SimulatedHost
from drystone.volumes import previews
from drystone.volumes.catalogue import Catalogue
from drystone.volumes.documents import preview_documents
from drystone.volumes.driver import Preview, Setting, Wish
from drystone.volumes.drivers.devicemapper import DeviceMapperDriver
from drystone.volumes.drivers.pool_options import read_options
from drystone.volumes.service import Origin, VolumeService

OPTIONS = {"dm.datadev": DATA, "dm.metadatadev": METADATA, "dm.thinpoolblocksize": "128", "dm.defaultvolumesize": "1m"}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[VolumeService]:
    """With volume `db` and its snapshot `monday`."""
    clock = PatientClock()
    catalogue = Catalogue(tmp_path / "catalogue.db", clock)
    catalogue.open()
    setting = Setting(tmp_path, tmp_path / "mounts", OPTIONS, clock, catalogue)
    driver = DeviceMapperDriver(setting, read_options(OPTIONS), SimulatedHost())
    service = VolumeService(tmp_path, tmp_path / "mounts", catalogue, {"devicemapper": driver}, clock)
    service.start()
    service.create(Wish(new_uuid(), "db"))
    service.create_snapshot("db", "monday")
    yield service
    service.stop()


def read_program(preview: Preview) -> Program:
    """The program as it arrives at whoever asked, checked as `dvm dmexec --check` does."""
    (document,) = msgspec.json.decode(msgspec.json.encode(preview_documents([preview])))
    assert set(document) == {"title", "words", "program"}
    program = parse_program(msgspec.json.encode(document["program"]))
    check(program)
    return program


def test_a_new_volume(service: VolumeService) -> None:
    before = service.list_volumes()
    (shown,) = previews.preview_create(service, Wish(new_uuid(), "other"), "", None)
    assert shown.title == ""
    assert shown.words[0] == "1. make thin device 3 in convoy-pool"
    assert shown.words[-1].startswith("then: mkfs.ext4 /dev/mapper/convoy-pool-")
    assert 'message convoy-pool "create_thin 3"' in render_text(read_program(shown))
    assert service.list_volumes() == before


def test_a_restored_volume_gets_no_file_system_of_its_own(service: VolumeService) -> None:
    origin = Origin("devicemapper", 1 << 20, {}, lambda _path: None)
    (shown,) = previews.preview_create(service, Wish(new_uuid(), "other"), "", origin)
    assert shown.words[-1].startswith("then: the backup's content is written to /dev/mapper/convoy-pool-")
    read_program(shown)


def test_snapshots(service: VolumeService) -> None:
    (shown,) = previews.preview_snapshot(service, "db", "tuesday")
    text = render_text(read_program(shown))
    assert text.index("suspend convoy-pool-") < text.index("create_snap 3 1") < text.index("resume convoy-pool-")
    (shown,) = previews.preview_delete_snapshot(service, "monday")
    assert 'message convoy-pool "delete 2"' in render_text(read_program(shown))


def test_a_deletion_has_a_part_a_snapshot(service: VolumeService) -> None:
    parts = previews.preview_delete(service, "db")
    assert [each.title for each in parts] == ["snapshot monday", "volume db"]
    first, second = (render_text(read_program(each)) for each in parts)
    assert ('"delete 2"' in first, '"delete 1"' in second) == (True, True)
    with pytest.raises(UnsupportedError):
        previews.preview_delete(service, "db", keep_data=True)


def test_mounts_have_no_program(service: VolumeService) -> None:
    (shown,) = previews.preview_mount(service, "db", "/srv/db")
    assert shown.program is None
    assert shown.words[0].startswith("no program: mount /dev/mapper/convoy-pool-")
    assert shown.words[0].endswith(" /srv/db")
    service.mount("db")
    (shown,) = previews.preview_umount(service, "db")
    assert (len(shown.words), shown.program) == (1, None)
    assert shown.words[0].startswith("no program: umount /")
