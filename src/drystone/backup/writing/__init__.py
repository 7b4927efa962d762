"""Making backups: read, hash, compress, pack, put."""
