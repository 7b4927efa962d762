"""The commonest command lines of the tools of `dvm`, read and run without click.

click takes longer to import than most tools have work to do. `words.py` reads a command line by the table in
`table.py`; what it cannot read, and whatever is wrong, is left to click. The work is done by the same functions.
"""
