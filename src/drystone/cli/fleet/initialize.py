"""`initialize_diskmapper.sh`: groups of vbuckets at a mapper, one group a disk."""

from __future__ import annotations

import argparse
import http.client
import sys
import urllib.parse
from collections.abc import Sequence

from drystone.cli.fleet.zstore import StoreError, request
from drystone.cli.output import print_line


def main() -> None:
    """The console script. Exit 0, or 1 with a line on stderr."""
    sys.exit(run(sys.argv[1:]))


def run(words: Sequence[str]) -> int:
    """Ask the mapper; the exit code."""
    parser = argparse.ArgumentParser(
        prog="initialize_diskmapper.sh", description="Allocate vbuckets: groups of PER_DISK out of TOTAL, a disk each."
    )
    parser.add_argument("-i", dest="host", required=True, metavar="HOST", help="the mapper: HOST or HOST:PORT")
    parser.add_argument("-g", dest="namespace", required=True, metavar="NAMESPACE", help="the namespace (game id)")
    parser.add_argument("-v", dest="per_disk", required=True, type=int, metavar="PER_DISK", help="vbuckets a disk")
    parser.add_argument("-t", dest="total", required=True, type=int, metavar="TOTAL", help="vbuckets in all")
    chosen = parser.parse_args(words)
    query = urllib.parse.urlencode(
        {
            "action": "initialize_vbuckets",
            "namespace": chosen.namespace,
            "per_disk": chosen.per_disk,
            "total": chosen.total,
        }
    )
    scheme, _, rest = chosen.host.rpartition("://")
    try:
        with request("POST", f"{scheme or 'http'}://{rest}/api?{query}", headers={"Content-Length": "0"}) as answer:
            text = answer.read().decode("utf-8", "replace").strip()
            if answer.status == 200:
                return 0
    except (StoreError, OSError, http.client.HTTPException) as error:
        text = f"{chosen.host}: {error}"
    print_line(f"initialize_diskmapper.sh: {text}", err=True)
    return 1


if __name__ == "__main__":
    main()
