"""Object stores behind one interface."""

from drystone.store.abc import Store
from drystone.store.opening import open_store

__all__ = ["Store", "open_store"]
