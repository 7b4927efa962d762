"""Boots guests with a real kernel, networks them, runs commands in them.

`Lab` in drystone.lab.lab is the way in; `drystone lab` and the pytest plugin in drystone.lab.fixtures use it. A
supervisor process (drystone.lab.supervisor) holds the guests of a lab; drystone.lab.guest is what runs inside them.
"""
