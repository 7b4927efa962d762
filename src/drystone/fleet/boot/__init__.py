"""The fleet's servers as services of systemd: their units, their configurations, and what puts them in place."""
