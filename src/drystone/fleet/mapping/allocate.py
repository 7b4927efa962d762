"""New placements: which disks, and the folder's name. Pure."""

from __future__ import annotations

import hashlib

from drystone.base.errors import NotFoundError
from drystone.fleet.documents import Allocation, Placement
from drystone.fleet.mapping.model import Model, PlacementChange
from drystone.fleet.mapping.places import find_first_places
from drystone.fleet.mapping.view import View

_LONGEST_FOLDER = 150
"""Bytes: with a namespace of 63 and a number it stays below a file system's 255."""


def allocate(view: View, wanted: Allocation, id_: str) -> PlacementChange:
    """A placement for a host that has none: all its copies are empty, so all are in sync.

    :param id_: for the placement, never used before.
    :raises NotFoundError: no such bucket. :raises UnavailableError, ExhaustedError: as find_first_places.
    """
    bucket = view.model.buckets.get(wanted.namespace)
    if bucket is None:
        raise NotFoundError(f"there is no bucket {wanted.namespace!r}")
    places = find_first_places(view, bucket.policy)
    placement = Placement(
        id=id_,
        namespace=wanted.namespace,
        host=wanted.host,
        folder=name_folder(view.model, wanted.namespace, wanted.host),
        policy=bucket.policy,
        epoch=1,
        leader=places[0].server,
        members=tuple(each.member(in_sync=True) for each in places),
    )
    return PlacementChange(placement, 0, "a new host")


def name_folder(model: Model, namespace: str, host: str) -> str:
    """The host's name when no other placement has or had it, else `HOST@NAMESPACE`, then with a number.

    A name that no folder should have (`..`, one that begins with a dot, control characters, a very long one) is
    replaced by `@` and a digest of it.
    """
    plain = host if _is_plain(host) else f"@{hashlib.sha256(host.encode()).hexdigest()[:32]}" if host else ""
    number = 1
    name = plain or f"@{namespace}"
    while name in model.folders:
        name = f"{plain}@{namespace}" if number == 1 else f"{plain}@{namespace}@{number}"
        number += 1
    return name


def _is_plain(host: str) -> bool:
    """Whether a folder can be called so."""
    return (
        bool(host)
        and not host.startswith(".")
        and "/" not in host
        and host.isprintable()
        and len(host.encode()) <= _LONGEST_FOLDER
    )
