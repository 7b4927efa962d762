"""The mutators: pure functions from a group to another one, a file a noun. Each result is checked whole."""
