"""The network block device protocol, as far as a disk that is only read needs it."""
