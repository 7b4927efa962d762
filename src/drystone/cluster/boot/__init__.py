"""The cluster's servers as services of systemd."""
