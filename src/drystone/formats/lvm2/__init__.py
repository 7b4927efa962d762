"""LVM2's metadata: label, metadata areas, ring of texts, the texts themselves. Bytes to values; nothing is written."""
