"""The command lines: flags, printing, progress and exit codes; no logic."""
