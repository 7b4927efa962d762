"""The backup fleet on the command line. A file a noun; `command` has the group."""
