"""The repository's objects as bytes and values: pure, no store is touched here."""
