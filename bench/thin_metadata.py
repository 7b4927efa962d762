"""Reading thin metadata: whole processes of ours against Debian's thin_dump and thin_delta 0.9 on one image.

    python bench/thin_metadata.py [MAPPINGS [RUNS]]

The image holds two devices of MAPPINGS blocks (5 million by default); the second is a snapshot of the first with 2% of
its leaves rewritten, the rest shared. One mapping in ten begins a new run of neighbours. Prints a JSON list as
bench/run.py describes it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drystone.formats.pdata.blocks import BLOCK
from drystone.formats.pdata.checksum import BTREE_NODE, INDEX_BLOCK, THIN_SUPERBLOCK, checksum_block, checksum_blocks
from drystone.formats.pdata.layout import INTERNAL, LEAF, make_node_dtype
from drystone.formats.pdata.spacemap import ROOT
from drystone.formats.thin import layout
from pairs import measure

FULL = 252
DRYSTONE = str(Path(sys.executable).parent / "drystone")
Numbers = NDArray[np.uint64]


class Image:
    """Blocks of an image in the making; block 0 is the superblock's."""

    def __init__(self) -> None:
        self.parts: list[NDArray[np.uint8]] = [np.zeros((1, BLOCK), dtype=np.uint8)]
        self.size = 1

    def put_nodes(self, flags: int, keys: Numbers, values: NDArray[Any], counts: NDArray[Any]) -> Numbers:
        """Append nodes that take these entries, `counts` each; their block numbers."""
        dtype = make_node_dtype(values.dtype)
        most = dtype["keys"].shape[0]
        nodes: NDArray[Any] = np.zeros(len(counts), dtype=dtype)
        numbers = np.arange(self.size, self.size + len(counts), dtype=np.uint64)
        nodes["flags"], nodes["blocknr"], nodes["nr_entries"] = flags, numbers, counts
        nodes["max_entries"], nodes["value_size"] = most, values.dtype.itemsize
        used = np.arange(most) < counts[:, None]
        nodes["keys"][used] = keys
        nodes["values"][used] = values
        blocks = nodes.view(np.uint8).reshape(-1, BLOCK)
        nodes["csum"] = checksum_blocks(blocks, BTREE_NODE)
        self.parts.append(blocks)
        self.size += len(counts)
        return numbers

    def put_tree(self, firsts: Numbers, numbers: Numbers) -> int:
        """The root above nodes whose first keys and numbers are given."""
        while len(numbers) > 1:
            counts = np.full(-(-len(numbers) // FULL), FULL)
            counts[-1] = len(numbers) - FULL * (len(counts) - 1)
            above = self.put_nodes(INTERNAL, firsts, numbers, counts)
            firsts, numbers = firsts[::FULL], above
        return int(numbers[0])

    def put_leaf(self, values: dict[int, Any], dtype: Any) -> int:
        """A tree of one leaf."""
        keys = np.array(list(values), dtype=np.uint64)
        array = np.array(list(values.values()), dtype=dtype)
        return int(self.put_nodes(LEAF, keys, array, np.array([len(keys)]))[0])

    def write(self, path: Path, mapping_root: int, details_root: int, data_blocks: int) -> None:
        """Put the superblock and write the file. The space maps are empty, but there: the peers open them."""
        counts = self.put_leaf({}, "<u4")
        data_map = ROOT.pack(data_blocks, 0, self.put_leaf({}, "V16"), counts)
        index = BLOCK * b"\0"
        index = index[:8] + self.size.to_bytes(8, "little") + index[16:]
        index = checksum_block(index, INDEX_BLOCK).to_bytes(4, "little") + index[4:]
        metadata_map = ROOT.pack(0, 0, self.size, counts)
        self.parts.append(np.frombuffer(index, dtype=np.uint8).reshape(1, BLOCK))
        self.size += 1
        body = layout.SUPERBLOCK.pack(
            *(0, 0, 0, bytes(16), layout.MAGIC, 2, 1, 0, 0),
            *(data_map.ljust(128, b"\0"), metadata_map.ljust(128, b"\0")),
            *(mapping_root, details_root, 128, 8, self.size, 0, 0, 0),
        ).ljust(BLOCK, b"\0")
        sealed = checksum_block(body, THIN_SUPERBLOCK).to_bytes(4, "little") + body[4:]
        self.parts[0] = np.frombuffer(sealed, dtype=np.uint8).reshape(1, BLOCK)
        with path.open("wb") as file:
            for part in self.parts:
                part.tofile(file)


def write_image(path: Path, mappings: int) -> None:
    """Two devices of that many mappings, rounded up to whole leaves."""
    random = np.random.default_rng(1)
    leaves = -(-mappings // FULL)
    virtual = np.arange(leaves * FULL, dtype=np.uint64)
    steps = np.where(random.random(len(virtual)) < 0.1, random.integers(2, 50, len(virtual)), 1)
    data = np.cumsum(steps).astype(np.uint64)
    image = Image()
    full = np.full(leaves, FULL)
    first = image.put_nodes(LEAF, virtual, data << np.uint64(layout.TIME_BITS), full)
    firsts = virtual[::FULL]
    rewritten = np.sort(random.choice(leaves, max(leaves // 50, 1), replace=False))
    second = first.copy()
    places = (rewritten[:, None] * FULL + np.arange(FULL)).reshape(-1)
    moved = (data[places] + data[-1]) << np.uint64(layout.TIME_BITS) | np.uint64(1)
    second[rewritten] = image.put_nodes(LEAF, virtual[places], moved, full[: len(rewritten)])
    roots = {dev: image.put_tree(firsts, numbers) for dev, numbers in ((1, first), (2, second))}
    details = {dev: (len(virtual), 0, 0, 0) for dev in roots}
    image.write(
        path, image.put_leaf(roots, "<u8"), image.put_leaf(details, np.dtype(layout.DETAILS)), int(data[-1]) * 2 + 1
    )


def make_run(*words: str) -> Callable[[], object]:
    """A call that runs one whole process."""
    return lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    """Measure and print."""
    mappings = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000_000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    if shutil.which("thin_dump") is None:
        print("thin_dump is missing: install thin-provisioning-tools", file=sys.stderr)
        return 1
    # Debian's tools read with O_DIRECT, which a tmpfs at /tmp would refuse.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        path = Path(folder) / "metadata.img"
        write_image(path, mappings)
        image, millions = str(path), f"{mappings / 1e6:g}M"
        rows = [
            measure(
                f"mappings of one device, {millions}",
                make_run(DRYSTONE, "thin", "mappings", "1", image),
                "thin_dump --dev-id 1",
                make_run("thin_dump", "--dev-id", "1", image),
                runs=runs,
            ),
            measure(
                f"delta of two devices, {millions}, 98% shared",
                make_run(DRYSTONE, "thin", "delta", "1", "2", image),
                "thin_delta",
                make_run("thin_delta", "--thin1", "1", "--thin2", "2", image),
                runs=runs,
            ),
        ]
    print(json.dumps(rows, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
