"""The conformance check, on the initiator and the LIO of a guest, over its loopback interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from drystone.kernel import loop
from drystone.kernel.blockdev import device_path, open_device
from drystone.kernel.dm.number import DeviceNumber
from drystone.kernel.iscsi.initiator import NAME_FILE, OpenIscsi
from drystone.kernel.iscsi.records import RECORDS
from drystone.kernel.lio.configfs import ConfigfsLio
from drystone.testing.iscsi import CHECKS, SIZE, IscsiBench
from drystone.testing.lio import IQN, LioBench

pytestmark = pytest.mark.lab(memory="192M")


@contextmanager
def hold(number: DeviceNumber) -> Iterator[None]:
    with open_device(device_path(number), exclusive=True):
        yield


@pytest.fixture(scope="module")
def devices(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[tuple[str, DeviceNumber]]]:
    folder: Path = tmp_path_factory.mktemp("disks")
    Path(NAME_FILE).write_text(f"InitiatorName={IQN}this-host\n")
    with ExitStack() as stack:
        found = []
        for at in range(2):
            file = folder / str(at)
            file.write_bytes(bytes(SIZE))
            made = stack.enter_context(loop.hold(str(file)))
            found.append((made.path, made.number))
        yield found


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_conforms(check: Callable[[IscsiBench], None], devices: list[tuple[str, DeviceNumber]]) -> None:
    with IscsiBench(OpenIscsi(), LioBench(ConfigfsLio(), devices, hold), hold) as bench:
        check(bench)
    assert OpenIscsi().sessions() == []
    assert not [each for each in Path(RECORDS).rglob("*") if each.is_file()], "no secret stays behind"
