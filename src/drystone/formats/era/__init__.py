"""dm-era metadata: superblock, writesets, era array, and what they say together."""
