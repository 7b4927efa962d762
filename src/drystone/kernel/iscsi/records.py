"""The settings of open-iscsi's records: one a target and portal, without discovery.

Source: open-iscsi `usr/idbm.c` (where a record lies, `name = value` a line), `usr/idbm_fields.h` (the names).
"""

from __future__ import annotations

from pathlib import Path

from drystone.base.errors import UnsupportedError
from drystone.base.files import replace_file
from drystone.kernel.iscsi.abc import Timeouts
from drystone.kernel.iscsi.names import Chap, Portal

RECORDS = "/etc/iscsi/nodes"
GROUP = 1
"""The tag of the portal group: `kernel.lio` makes no other."""
_SECRET = "node.session.auth.password"  # noqa: S105 - a setting's name


def record_settings(chap: Chap | None, timeouts: Timeouts) -> dict[str, str]:
    """What a record is to say, but for the secret."""
    settings = {
        "node.startup": "manual",
        "node.session.auth.authmethod": "CHAP" if chap else "None",
        "node.session.timeo.replacement_timeout": str(timeouts.replacement),
        "node.conn[0].timeo.noop_out_interval": str(timeouts.noop_interval),
        "node.conn[0].timeo.noop_out_timeout": str(timeouts.noop_timeout),
        "node.conn[0].timeo.login_timeout": str(timeouts.login),
        # One try: within it, a connection that is refused is asked for again and again until its time is over.
        "node.session.initial_login_retry_max": "1",
    }
    return settings | ({"node.session.auth.username": chap.user} if chap else {})


def write_secret(folder: str, target: str, portal: Portal, secret: str) -> None:
    """Put a secret into the record that iscsiadm has made: as a word of a command every user could read it.

    :raises UnsupportedError: the record is not where it should be: open-iscsi was built for another folder.
    """
    path = Path(folder, target, f"{portal.address},{portal.port},{GROUP}", "default")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UnsupportedError(
            f"iscsiadm keeps its record of {target} elsewhere than at {path}", hint=f"is {folder} its folder?"
        ) from error
    kept = [line for line in lines if line.partition("=")[0].strip() != _SECRET]
    place = next((at for at, line in enumerate(kept) if line.startswith("# END")), len(kept))
    kept.insert(place, f"{_SECRET} = {secret}")
    replace_file(path, "\n".join([*kept, ""]).encode())
