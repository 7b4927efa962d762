"""What the cluster remembers, in SQL: SQLite, PostgreSQL or MariaDB, by the same code.

Every change is one transaction (`Database.change`), durable when it returns, and made by compare-and-set: a dlv and a
dvg have a version that each change raises by one. Of two changes made from the same version one is made anew.
"""
