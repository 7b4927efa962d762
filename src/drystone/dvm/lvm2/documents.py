"""The documents of `dvm lvm2`, by name. The tables of `dvm lvm2 tables` are a state (`drystone.dvm.state`)."""

from __future__ import annotations

from drystone.dvm.lvm2.groups_document import GroupsDocument
from drystone.dvm.lvm2.scan_document import ScanDocument
from drystone.dvm.lvm2.texts_document import TextsDocument

__all__ = ["GroupsDocument", "ScanDocument", "TextsDocument"]
