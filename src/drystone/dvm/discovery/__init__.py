"""Devices, their labels, and the groups that they belong to."""
