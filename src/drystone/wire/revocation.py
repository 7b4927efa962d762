"""Lists of revoked certificates (CRLs, RFC 5280): one stands in the file of the authority that it is of."""

from __future__ import annotations

import ssl
from pathlib import Path

LIST_BEGINNING = b"-----BEGIN X509 CRL-----"


def heed_list(context: ssl.SSLContext, authority: Path) -> None:
    """Refuse certificates that are on the list in the authority's file, which `context` has loaded already; without a
    list in it nothing changes. With one, every authority in the file needs its own. It is read now, and not again.

    :raises OSError: the file cannot be read.
    """
    if LIST_BEGINNING in authority.read_bytes():
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
