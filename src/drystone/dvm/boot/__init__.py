"""Groups become active as the machine starts: files for systemd, and what puts them in place."""
