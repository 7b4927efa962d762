"""The queue: hints that a dlv, a job or a host is worth a look now, and not only with the next round.

A hint is no record. One that is lost, doubled, late or a lie costs time, as the monitor compares what is recorded with
what agents have in every round, hint or no hint. So nobody waits for the queue: giving a hint never blocks and never
fails, and what the queue does not take is dropped.
"""
