"""A region of replicated metadata: bytes to values and back, pure, without numpy. The format is
docs/reference/region-format.md.

`layout` has the offsets, `transactions` what a transaction is, `slots` page 0, `pages` the other pages, `trees` what
is reached from a version, `drafts` the pages of a new one.
"""
