"""The tools by name: what `convoy-pdata_tools`, `drystone thin`, `drystone era` and the links by name all run."""

from __future__ import annotations

from drystone.cli.lazy import Lazy

SUMMARIES = {
    "thin_check": "Check thin metadata: every node, mapping and reference count.",
    "thin_dump": "Print thin metadata as XML, text or JSON.",
    "thin_restore": "Write thin metadata out of an XML or JSON dump.",
    "thin_repair": "Save what can be saved of damaged thin metadata, into another file or device.",
    "thin_delta": "Print the differences between two thin devices.",
    "thin_ls": "List thin devices with what they map, alone and shared.",
    "thin_rmap": "Print which thin devices map regions of the data device.",
    "thin_metadata_size": "Estimate how large a pool's metadata device must be.",
    "thin_metadata_pack": "Pack thin metadata into a small file, without the blocks in no use.",
    "thin_metadata_unpack": "Unpack what thin_metadata_pack made.",
    "era_check": "Check era metadata: every node, bit and reference count.",
    "era_dump": "Print era metadata as XML or JSON.",
    "era_restore": "Write era metadata out of an XML or JSON dump.",
    "era_invalidate": "List the blocks that may have been written since an era.",
    "era_repair": "Save what can be saved of damaged era metadata, into another file or device.",
}
"""Name of the tool -> the line that a group's help shows for it."""

TOOLS = {name: Lazy(f"drystone.cli.tools.{name}:{name}", summary) for name, summary in SUMMARIES.items()}
"""Name of the tool -> its command. Each lies in the file of its own name."""


def list_verbs(noun: str) -> dict[str, Lazy]:
    """The tools of one noun as verbs: for `thin`, `metadata-size` -> thin_metadata_size."""
    return {
        name.removeprefix(f"{noun}_").replace("_", "-"): entry
        for name, entry in TOOLS.items()
        if name.startswith(f"{noun}_")
    }
