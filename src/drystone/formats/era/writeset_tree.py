"""The writeset tree, as the readers and writers of pdata know trees that go through numpy."""

from __future__ import annotations

import numpy as np

from drystone.formats.era import layout
from drystone.formats.era.writesets import TREE_NAME
from drystone.formats.pdata.btree import TreeKind

TREE = TreeKind(TREE_NAME, np.dtype(layout.WRITESET))
