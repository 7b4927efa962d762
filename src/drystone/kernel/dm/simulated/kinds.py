"""The target types that the simulated kernel has."""

from __future__ import annotations

from drystone.kernel.dm.simulated.cache import CacheBehaviour
from drystone.kernel.dm.simulated.clone import CloneBehaviour
from drystone.kernel.dm.simulated.era import EraBehaviour
from drystone.kernel.dm.simulated.machine import Behaviour
from drystone.kernel.dm.simulated.mapping import ErrorBehaviour, LinearBehaviour, StripedBehaviour, ZeroBehaviour
from drystone.kernel.dm.simulated.mirror import MirrorBehaviour, RaidBehaviour
from drystone.kernel.dm.simulated.snapshot import (
    SnapshotBehaviour,
    SnapshotMergeBehaviour,
    SnapshotOriginBehaviour,
)
from drystone.kernel.dm.simulated.thin import ThinBehaviour
from drystone.kernel.dm.simulated.thin_pool import ThinPoolBehaviour

KINDS: dict[str, Behaviour] = {
    "thin-pool": ThinPoolBehaviour(),
    "thin": ThinBehaviour(),
    "era": EraBehaviour(),
    "clone": CloneBehaviour(),
    "cache": CacheBehaviour(),
    "raid": RaidBehaviour(),
    "mirror": MirrorBehaviour(),
    "snapshot-merge": SnapshotMergeBehaviour(),
    "snapshot": SnapshotBehaviour(),
    "snapshot-origin": SnapshotOriginBehaviour(),
    "zero": ZeroBehaviour(),
    "striped": StripedBehaviour(),
    "linear": LinearBehaviour(),
    "error": ErrorBehaviour(),
}
"""A table's type name -> what it does, in the order in which a kernel lists them."""
