"""The label of a device: which group it belongs to, and where its metadata regions are. Pure, and without numpy."""
