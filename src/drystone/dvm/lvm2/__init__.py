"""LVM2's volume groups, read only: what is on devices, groups as values, tables for device-mapper, older texts."""
