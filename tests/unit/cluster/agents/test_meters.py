"""What an ihost measures, on simulated kernels: never where the kernel's wait would keep a swap, or hang."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from msgspec.structs import replace

from drystone.base.errors import KernelError, UnavailableError
from drystone.cluster.agents.answers import VolumeSeen
from drystone.cluster.agents.measuring import measure_dpv, measure_ihost, name_of
from drystone.cluster.agents.meters import PROGRAM, Layer, Meters, find_layer
from drystone.cluster.model.calls import VolumeWish, target_name
from drystone.cluster.model.in_sync import attach, shrink
from drystone.dvm.state import State
from drystone.kernel.dm.abc import DeviceEntry, TableLine
from drystone.kernel.dm.io_statistics import IoCounts, create_message, parse_list
from drystone.kernel.dm.number import DeviceNumber
from drystone.testing.cluster.bench import DLV, DPVS, DpvHost, IhostHost, legs_wishes, make_dlv, wish_of

NAME = "drystone-dlv-db"
LEGS = {"leg-0a", "leg-0b", "leg-1a", "leg-1b"}
ALL = {
    Layer("db", "final", "volume"),
    Layer("db", "thin", "thin0"),
    Layer("db", "data", "data"),
    Layer("db", "metadata", "metadata"),
    Layer("db", "mirror", "g0.s0"),
    Layer("db", "mirror", "g1.s0"),
}


@pytest.fixture
def host(tmp_path: Path) -> IhostHost:
    """An ihost whose agent measures."""
    hosts = [DpvHost(tmp_path / name, each.portal) for name, each in DPVS.items()]
    for each, wish in zip(hosts, legs_wishes(make_dlv()).values(), strict=True):
        each.agent.put(wish)
    return make_ihost(tmp_path / "ihost", hosts)


def make_ihost(folder: Path, hosts: Collection[DpvHost]) -> IhostHost:
    """One that was told, as before every attachment, that what may be here is void."""
    made = IhostHost(folder, hosts)
    made.measures = True
    made.restart()
    made.agent.put(VolumeWish(DLV, 1, 1, (), (), State()))
    return made


def attached() -> VolumeWish:
    change = attach(make_dlv(), "ihost", LEGS)
    return wish_of(change.dlv, change.assemblies)


def measured(host: IhostHost) -> set[Layer]:
    return {layer for layer, _ in host.meters.read()}


def regions(host: IhostHost, name: str) -> list[int]:
    return [each.length for each in parse_list(host.dm.message(name, f"@stats_list {PROGRAM}"))]


def test_all_layers_are_measured_from_the_attachment_on(host: IhostHost) -> None:
    host.agent.put(attached())
    assert measured(host) == ALL
    assert regions(host, NAME) == [(16 << 20) // 512]


def test_an_agent_that_has_no_metrics_measures_nothing(host: IhostHost) -> None:
    host.measures = False
    host.restart()
    host.agent.put(attached())
    assert measured(host) == set()


def test_nothing_is_begun_twice(host: IhostHost) -> None:
    wish = attached()
    host.agent.put(wish)
    host.restart()
    host.agent.recover()
    host.agent.put(wish)
    assert regions(host, NAME) == [(16 << 20) // 512]


def test_what_is_in_use_already_is_left_alone(host: IhostHost) -> None:
    """An agent is told to measure while the volume is mounted: nothing may wait for its I/O."""
    host.measures = False
    host.restart()
    wish = attached()
    host.agent.put(wish)
    host.measures = True
    host.restart()
    number = host.dm.info(NAME).number
    host.dm.open(number)
    host.agent.put(wish)
    assert measured(host) == set()
    host.dm.close(number)
    host.agent.put(wish)
    assert measured(host) == {each for each in ALL if each.kind != "mirror"}, "a mirror with something above it"


def test_no_layer_is_begun_while_a_mirror_holds_its_writes(host: IhostHost) -> None:
    """The bench fails where it would hang."""
    host.agent.put(attached())
    dlv = attach(make_dlv(), "ihost", LEGS).dlv
    lost = host.legs()[target_name("leg-1b")]
    host.initiator.offline.add(target_name("leg-1b"))
    host.dm.fail(lost)
    host.restart()
    host.agent.recover()
    change = shrink(dlv, "ihost", dlv.epoch, ["leg-1b"])
    kept = {each.mirror: replace(each, bits="kept") for each in attach(make_dlv(), "ihost", LEGS).assemblies}
    kept |= {each.mirror: each for each in change.assemblies}
    host.agent.put(wish_of(change.dlv, [*kept.values()]))
    assert measured(host) >= ALL, "regions outlive a swap"


def test_nothing_is_begun_above_a_mirror_that_holds_its_writes(host: IhostHost) -> None:
    host.measures = False
    host.restart()
    host.agent.put(attached())
    host.dm.fail(host.legs()[target_name("leg-1b")])
    host.measures = True
    host.restart()
    with pytest.raises(UnavailableError, match="holds its writes"):
        host.agent.put(attached())
    assert measured(host) == set()


def test_a_kill_anywhere_keeps_no_layer_from_being_measured(host: IhostHost, tmp_path: Path) -> None:
    at, was_killed = 0, True
    while was_killed:
        at += 1
        host = make_ihost(tmp_path / str(at), host.hosts)
        was_killed = host.crash(lambda host=host: host.agent.put(attached()), at)  # type: ignore[misc]
        host.agent.put(attached())
        assert measured(host) == ALL
    assert at > 30


def test_a_mirror_that_udev_looks_into_is_waited_for(host: IhostHost) -> None:
    host.dm.create("drystone-dlv-db:g1.s0", f"DRYSTONE-CLUSTER-{DLV}-g1.s0")
    host.dm.load("drystone-dlv-db:g1.s0", [TableLine(0, 8, "zero")])
    info = host.dm.resume("drystone-dlv-db:g1.s0")
    host.dm.open(info.number)
    left = [2]

    class Clock:
        def sleep(self, seconds: float) -> None:
            assert seconds > 0
            left[0] -= 1
            if not left[0]:
                host.dm.close(info.number)

    Meters(host.dm, clock=Clock()).begin({f"DRYSTONE-CLUSTER-{DLV}-g1.s0"})  # type: ignore[arg-type]
    assert left == [0]
    assert regions(host, "drystone-dlv-db:g1.s0") == [8]


def test_a_device_that_grew_is_measured_whole(host: IhostHost) -> None:
    uuid = f"DRYSTONE-CLUSTER-{DLV}-volume"
    host.dm.create(NAME, uuid)
    host.dm.load(NAME, [TableLine(0, 8, "zero")])
    host.dm.resume(NAME)
    host.dm.message(NAME, create_message(8, (1.0,), "others"))
    host.meters.begin({uuid})
    host.dm.load(NAME, [TableLine(0, 16, "zero")])
    host.dm.suspend(NAME)
    host.dm.resume(NAME)
    host.meters.begin({uuid})
    assert regions(host, NAME) == [16]
    assert "others" in host.dm.message(NAME, "@stats_list"), "what another program counts stays"


def test_what_cannot_be_measured_keeps_nothing(host: IhostHost, caplog: pytest.LogCaptureFixture) -> None:
    class Refusing:
        def list_devices(self) -> list[DeviceEntry]:
            raise KernelError("list", 12, device=None)

    Meters(Refusing()).begin({"x"})  # type: ignore[arg-type]
    assert "layers are not measured" in caplog.text


@pytest.mark.parametrize("part", ["pool", "g1.s0.whole", "g1.s0.gone", "g1.s0.copy", ""])
def test_other_devices_are_no_layers(part: str) -> None:
    assert find_layer(DeviceEntry(f"{NAME}:{part}", DeviceNumber(253, 0), 0, f"DRYSTONE-CLUSTER-{DLV}-{part}")) is None


def test_prometheus_gets_mirrors_pools_layers_and_legs(host: IhostHost) -> None:
    host.agent.put(attached())
    counts = IoCounts(1, 512, 0.25, 2, 4096, 0.5, 1)
    text = measure_ihost(host.agent, host.meters, lambda _: counts).decode()
    for line in (
        "drystone_ihost_dlvs 1.0",
        "drystone_ihost_troubles 0.0",
        'drystone_mirror_regions{dlv="db",mirror="g1.s0"} 8.0',
        'drystone_mirror_failed_legs{dlv="db",mirror="g1.s0"} 0.0',
        'drystone_pool_data_blocks{dlv="db"} 128.0',
        'drystone_layer_writes_total{dlv="db",layer="leg",part="leg-1b"} 2.0',
        'drystone_layer_write_seconds_total{dlv="db",layer="leg",part="leg-1b"} 0.5',
        'drystone_layer_writes_total{dlv="db",layer="final",part="volume"} 0.0',
        'drystone_layer_latency_seconds_bucket{dlv="db",layer="mirror",le="0.001",part="g0.s0"} 0.0',
        'drystone_layer_latency_seconds_count{dlv="db",layer="mirror",part="g0.s0"} 0.0',
    ):
        assert line in text.splitlines(), line
    assert 'latency_seconds_count{dlv="db",layer="leg"' not in text, "a leg has no histogram"


def test_a_dpv_tells_of_its_legs(host: IhostHost) -> None:
    dpv = host.hosts[0]
    counts = IoCounts(1, 512, 0.25, 2, 4096, 0.5, 1)
    text = measure_dpv(dpv.agent, dpv.agent._devices, lambda _: counts).decode()
    assert "drystone_dpv_dlvs 1.0" in text.splitlines()
    assert f'drystone_layer_read_bytes_total{{dlv="{DLV}",layer="slice",part="leg-0a"}} 512.0' in text.splitlines()
    assert 'drystone_leg_sessions{leg="leg-0a"} 0.0' in text.splitlines()


def test_a_volume_without_devices_is_called_by_its_id() -> None:
    assert name_of(VolumeSeen(DLV, 1, "", (), (), State())) == DLV
