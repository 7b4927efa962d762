"""The files by which systemd runs the volume daemon, and by which Docker finds it."""
