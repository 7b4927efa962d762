"""Volumes, snapshots and backups on one host: the daemon and its drivers."""
