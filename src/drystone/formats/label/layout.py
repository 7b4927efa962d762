"""The bytes of a label: a page of 4096 bytes, integers little endian. docs/reference/label-format.md has the table.

    0    16  magic
    16    4  CRC-32C of the page, these four bytes taken as zeros
    20    4  version of the format
    24    4  which copy: 0 in the first page of the device, 1 in its last whole page
    28    4  zeros
    32   16  group uuid
    48   16  device uuid
    64    8  size of the device in bytes when it was labelled
    72    8  generation: grows with every change of the group's set of devices
    80    4  how many devices the group has
    84    2  bytes of the group's name
    86    2  regions
    88    2  uuids in the list of the group's devices: as many as the group has devices, or 0
    90    6  zeros
    96  128  the group's name
    224 512  regions: begin and end in pages, 8 bytes each
    736 3360 uuids of the group's devices, 16 bytes each

What is not used is zeros, so that a label has one spelling.
"""

from __future__ import annotations

import struct

PAGE = 4096
"""Bytes in a page, the unit of regions."""

MAGIC = b"Drystone label\n\0"
VERSION = 1

HEADER = struct.Struct("<16sIIII16s16sQQIHHH6s")
CHECKSUM = struct.Struct("<I")
CHECKSUM_AT = 16
EXTENT = struct.Struct("<QQ")
NAME_AT = 96
REGIONS_AT = 224
MEMBERS_AT = 736
UUID_BYTES = 16

MOST_NAME = REGIONS_AT - NAME_AT
MOST_REGIONS = (MEMBERS_AT - REGIONS_AT) // EXTENT.size
MOST_LISTED = (PAGE - MEMBERS_AT) // UUID_BYTES
