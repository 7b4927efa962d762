"""dm-thin metadata: superblock, mappings, differences, sizes."""
