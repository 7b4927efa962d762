"""Distributed volumes: dlvs over legs on dpvs, after DLVM. What is there today: docs/explanation/cluster.md.

`model` decides, in functions of values: which legs a volume gets, which of them hold every acknowledged write, which
tables stand for that. `state` keeps it in SQL, changed by compare-and-set. `api` offers it over HTTP.
"""
