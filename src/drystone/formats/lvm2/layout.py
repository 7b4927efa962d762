"""Where the fields are: sizes and offsets of LVM2's label, physical volume header and metadata area header.

Every number on disk is little-endian. Offsets and sizes are bytes; those of a metadata area and its ring count from
the beginning of the device and of the area. docs/reference/lvm2.md is the same in tables.
Source: the headers as LVM2 2.03.16 writes them.
"""

from __future__ import annotations

import struct

SECTOR = 512

LABEL_SECTORS = 4
"""The label is in one of this many first sectors."""

LABEL_MAGIC = b"LABELONE"
LABEL_TYPE = b"LVM2 001"
LABEL = struct.Struct("<8sQII8s")
"""Magic, its own sector, checksum of the sector from CHECKED_LABEL on, where the contents begin, type."""
CHECKED_LABEL = 20

PV_HEADER = struct.Struct("<32sQ")
"""UUID without its dashes, size of the device. Two lists of RANGE follow: data areas, metadata areas."""
RANGE = struct.Struct("<QQ")
"""Offset and size; an offset of 0 ends a list. A data area of size 0 goes to the end of the device."""
EXTENSION = struct.Struct("<II")
"""Version and flags, followed by the list of boot loader areas from version 1 on."""
IN_USE = 1
"""Flag of an extension of version 2: the physical volume belongs to a group, whether its text can be found or not."""

AREA_HEADER_SIZE = 512
AREA_MAGIC = b" LVM2 x[5A%r0N*>"
AREA_VERSION = 1
AREA_HEADER = struct.Struct("<I16sIQQ")
"""Checksum of the sector from CHECKED_AREA on, magic, version, where the area begins, its size."""
CHECKED_AREA = 4
LOCATION = struct.Struct("<QQII")
"""Offset in the area, size with the NUL at the end, checksum, flags; slot 0 is committed, slot 1 precommitted."""
LOCATIONS_AT = AREA_HEADER.size
IGNORED = 1
"""Flag of slot 0: the area is kept for later, and its text, if any, is old."""

UUID_GROUPS = (6, 4, 4, 4, 4, 4, 6)
"""How people write the 32 characters of a UUID: in groups, with dashes between them."""
UUID_LENGTH = sum(UUID_GROUPS)
