"""The repository's state: numbered generations, and the operations that are under way."""
