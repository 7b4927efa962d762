"""Removing what is not wanted any more, and finding what is damaged."""
