"""Getting backups back: restore, verify, walk, targets."""
