"""What is in a group, for people and for programs."""
