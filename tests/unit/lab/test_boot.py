"""The kernel's command line and the boot document."""

from __future__ import annotations

import re
from pathlib import Path

from drystone.lab.boot import boot_document, command_line
from drystone.lab.machine import find_kernel
from drystone.lab.spec import DiskSpec, LabSpec, NodeSpec


def test_the_command_line_names_memory_root_and_descriptors() -> None:
    words = command_line(find_kernel(), NodeSpec("node3", 3, 256 << 20), Path("/run/x/node3"), 7, 9)
    assert {"mem=256M", "rootfstype=hostfs", "ssl0=fd:7", "umid=node3", "noreboot=1"} <= set(words)
    assert "vec0:transport=fd,fd=9,depth=64,mac=02:00:00:00:00:03" in words
    assert words[words.index("--") + 1 :] == ["-S", "-E", "/run/x/node3/init.py"]


def test_only_a_node_with_disks_loads_nbd() -> None:
    kernel = find_kernel()
    plain, rich = NodeSpec("node1", 1), NodeSpec("node2", 2, disks=(DiskSpec("/d/disk", 512),))
    lab = LabSpec("demo", (plain, rich), modules=("dm-thin-pool",))
    documents = [boot_document(kernel, lab, node, Path("/x")) for node in lab.nodes]
    loaded = [[Path(path).stem for path in document["modules"]] for document in documents]
    assert "nbd" not in loaded[0]
    assert "nbd" in loaded[1]
    assert loaded[0].index("dm-mod") < loaded[0].index("dm-thin-pool")
    assert [Path(path).stem for path in documents[0]["overlay_modules"]][-1] == "overlay"
    assert documents[1]["hosts"] == [("node1", "10.77.0.1"), ("node2", "10.77.0.2")]


def test_a_node_has_the_same_machine_id_at_each_boot_and_no_other_has_it() -> None:
    kernel = find_kernel()
    lab = LabSpec("demo", (NodeSpec("node1", 1), NodeSpec("node2", 2)), init="systemd", over="/o")
    first, again, other = (
        boot_document(kernel, lab, node, Path("/x")) for node in (lab.nodes[0], lab.nodes[0], lab.nodes[1])
    )
    assert first == again
    assert (first["init"], first["over"]) == ("systemd", "/o")
    assert first["machine_id"] != other["machine_id"]
    assert re.fullmatch("[0-9a-f]{32}", first["machine_id"])
