"""The backup fleet: storage servers that keep two copies of what hosts store, and mappers that say where."""
