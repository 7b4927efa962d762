"""What servers of a fleet tell each other about torrents: a type a message."""

from __future__ import annotations

import msgspec

from drystone.fleet.storage.torrents.metainfo import Metainfo

TORRENT_PATH = "/internal/members/torrent"


class FindTorrent(msgspec.Struct, frozen=True):
    """POST /internal/members/torrent: what the receiver seeds of a version. The answer: a list of one
    Offer, or none.

    :ivar digest: of the version. :ivar address: HOST:PORT from which the asker will connect; the receiver lets that
        host in. :ivar urn: this torrent alone; "" for any.
    """

    digest: str
    address: str
    urn: str = ""


class Offer(msgspec.Struct, frozen=True):
    """A torrent that is seeded.

    :ivar sums: BLAKE3 of each MiB, 32 bytes each. :ivar address: HOST:PORT to connect to.
    """

    metainfo: Metainfo
    sums: bytes
    address: str
