"""The fleet's S3 against that of OpenStack Swift on the same machine: the cases of bench/fleet_nginx.py.

    python bench/fleet_swift.py [--runs N] [NAME...]

Both check signatures, sum what they take (MD5; ours BLAKE3 besides) and acknowledge what is durable: ours on two disks
of two servers, Swift, as one process with one replica, on one. The client is the same for both, as are the requests.
Prints a JSON list as bench/run.py describes it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from fleet_nginx import CASES, Sign, fill, find_leader, run_case, signer

from drystone.fleet.s3.signing import sign_request
from drystone.testing import s3
from drystone.testing.fleet.processes import FleetProcesses
from pairs import compile_all, measure


def sign_for_swift(port: int, bucket: str) -> Sign:
    """Signs requests to Swift, with the body left out. :param bucket: made there."""
    host = f"127.0.0.1:{port}"

    def sign(method: str, key: str, size: int) -> bytes:
        target = f"/{bucket}/{key}"
        headers = {"host": host, "content-length": str(size)}
        signed = sign_request(method, target, headers, s3.KEY, s3.SECRET, now=time.time())
        return "".join(
            [f"{method} {target} HTTP/1.1\r\n", *(f"{name}: {text}\r\n" for name, text in signed.items()), "\r\n"]
        ).encode()

    return sign


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The fleet's S3 against OpenStack Swift's.")
    parser.add_argument("names", nargs="*", help="parts of the cases' names; all when none is given")
    parser.add_argument("--runs", type=int, default=0, help="pairs of each case")
    parser.add_argument("--folder", type=Path, help="where both keep their files")
    asked = parser.parse_args()
    if reason := s3.why_absent():
        sys.exit(f"bench/fleet_swift.py: {reason}")
    cases = [case for case in CASES if not asked.names or any(name in case.name for name in asked.names)]
    compile_all()
    folder = Path(tempfile.mkdtemp(prefix="fleet-bench-", dir=asked.folder))
    folder.chmod(0o755)
    found = []
    try:
        (folder / "swift").mkdir()
        with (
            FleetProcesses(folder / "fleet", disks=1, mapper_words=()) as fleet,
            s3.start_server(folder / "swift") as swift,
        ):
            fleet.start()
            ours = find_leader(fleet)
            sign, theirs = signer(fleet, ours), sign_for_swift(swift.port, swift.make_bucket())
            for case in cases:
                if case.method == "GET":
                    fill(case, ours, sign)
                    fill(case, swift.port, theirs)
                numbers = iter(range(10_000))
                found.append(
                    measure(
                        case.name,
                        lambda case=case, numbers=numbers: run_case(case, ours, sign, next(numbers)),  # type: ignore[misc]
                        "Swift",
                        lambda case=case, numbers=numbers: run_case(case, swift.port, theirs, next(numbers)),  # type: ignore[misc]
                        runs=asked.runs or case.runs,
                    )
                )
                print(json.dumps(found[-1]), file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(folder)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
