"""The agents of a cluster: one on each dpv, which has and exports legs, and one on each ihost, which has volumes.

An agent is told what is to be there (`model.calls`), keeps that durably under its epoch, brings the kernel there and
answers what it sees. After a restart it does so by itself. What it does not know it reports, and leaves alone.
"""
