"""The trees of devices, as the readers and writers of pdata know trees that go through numpy. See devices.py."""

from __future__ import annotations

import numpy as np

from drystone.formats.pdata.btree import TreeKind
from drystone.formats.thin import layout
from drystone.formats.thin.devices import DETAILS_NAME, TOP_NAME

DETAILS = TreeKind(DETAILS_NAME, np.dtype(layout.DETAILS))
TOP = TreeKind(TOP_NAME, np.dtype("<u8"))
