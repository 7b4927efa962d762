"""Bytes to values and back: pure functions over buffers and numpy arrays, no input or output."""
