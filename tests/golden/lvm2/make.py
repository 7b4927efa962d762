"""Make the golden images of LVM2's metadata: Debian's lvm2 makes them in a guest of the lab.

    .venv/bin/python tests/golden/lvm2/make.py tests/golden/lvm2 [NAME...]

Writes NAME.N.img.xz (device N, nobody using it) and NAME.json (what LVM2 and device-mapper say). Nothing is wrong in
them.

    kinds      four devices: linear of two segments, striped over two and three, raid1 of two and three, both kinds of
               mirror, read-only; and what is named only: a snapshot and its origin, a thin pool, raid5
    wrapped    two areas on one device, whose newest text wraps; an ignored area on another; none on a third
    orphan     a device of no group; its label is in the fourth sector
"""

from __future__ import annotations

import base64
import json
import lzma
import sys
import zlib
from pathlib import Path

from drystone.lab.lab import Lab

IMAGES = ("kinds", "wrapped", "orphan")


def main() -> None:
    folder = Path(sys.argv[1])
    modules = ["dm-mirror", "dm-log", "dm-raid", "raid1", "raid456", "dm-snapshot", "dm-thin-pool"]
    with Lab(memory=384 << 20, modules=modules) as lab, lab.guests[0].python() as python:
        for name in sys.argv[2:] or IMAGES:
            made = python.call(f"{Path(__file__).with_name('guest_work.py')}:make_{name}")
            for number, image in enumerate(made["images"]):
                (folder / f"{name}.{number}.img.xz").write_bytes(
                    lzma.compress(zlib.decompress(base64.b64decode(image)))
                )
            (folder / f"{name}.json").write_text(json.dumps(made["truth"], indent=1) + "\n")


if __name__ == "__main__":
    main()
