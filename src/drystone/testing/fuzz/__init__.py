"""Mutated blocks, images and files against every parser: each is read, or refused with a reason; never anything else.

`mutate` makes them out of sound ones, repeatably; `subjects` says what is fed with what (`labels`, `regions` and `lvm2`
have those of volume groups), `oracles` what must hold of what was read; `limits` keeps each case to
its time and the whole to its memory; `campaign` runs so many cases and counts.
"""
