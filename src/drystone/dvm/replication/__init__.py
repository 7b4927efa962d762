"""One run of bytes in many regions of devices, replaced by transactions."""
