"""Nouns that every room needs: errors, sizes, names, time, durable files, JSON documents."""
