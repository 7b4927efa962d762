"""Drystone: block storage for Linux, from a file on a laptop to mirrored volumes over many hosts."""

__version__ = "0.1.0"
