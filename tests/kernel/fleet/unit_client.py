"""Requests to a fleet on loopback: what the test of the units calls in a guest.

A module without pytest, which takes seconds to load in a guest.
"""

from __future__ import annotations

import time

from drystone.testing.fleet.client import FleetClient, LostError

_URL = "http://127.0.0.1:8080"
_SECONDS = 90.0
_PAUSE = 0.3


def ask(key: tuple[str, str], method: str, path: str, body: str = "") -> str:
    """The body of the answer, asked for again until it is a success: what is started anew takes its time."""
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            answer = FleetClient(*key).ask(_URL, method, path, body=body.encode())
        except LostError as error:
            told = str(error)
        else:
            if answer.status == 200:
                return answer.body.decode()
            told = f"{answer.status} {answer.code}"
        assert time.monotonic() < deadline, f"{method} {path}: {told}"
        time.sleep(_PAUSE)
