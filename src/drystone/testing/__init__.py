"""Fakes and conformance checks, shipped for tests of ours and of others."""
