"""The storage server: one process that holds copies of placements on its disks, and serves S3 and the legacy API."""
