"""The backup engine: sources, chunks, packs, manifests, restore."""
