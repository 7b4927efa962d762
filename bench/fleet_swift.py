"""The fleet's S3 against that of OpenStack Swift on the same machine: the cases of bench/fleet_client.py.

    python bench/fleet_swift.py [--runs N] [NAME...]

Both check signatures, sum what they take (MD5; ours BLAKE3 besides) and acknowledge what is durable: ours on two disks
of two servers, Swift, as one process with one replica, on one. The client is the same for both, as are the requests.
Prints a JSON list as bench/run.py describes it.
"""

from __future__ import annotations

import json
import sys

from fleet_client import Server, make_run, make_signer, measure_all, reading_arguments, running_fleet

from drystone.testing import s3


def main() -> None:
    """Measure and print."""
    if reason := s3.why_absent():
        sys.exit(f"bench/fleet_swift.py: {reason}")
    with reading_arguments("The fleet's S3 against OpenStack Swift's.") as asked:
        (asked.folder / "swift").mkdir()
        with running_fleet(asked.folder / "fleet") as ours, s3.start_server(asked.folder / "swift") as swift:
            theirs = Server(swift.port, make_signer(swift.port, swift.make_bucket(), s3.KEY, s3.SECRET))
            found = measure_all(asked, ours, lambda case: {"Swift": make_run(case, theirs)})
    print(json.dumps(found))


if __name__ == "__main__":
    main()
