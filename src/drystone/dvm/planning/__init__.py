"""From the layout that somebody wants to the way there."""
