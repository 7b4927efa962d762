"""Copies by BitTorrent, where a storage server is asked for it. Without libtorrent all but `engine` can be imported."""
