"""The monitor: compares what is recorded with what agents have, again and again, and does what brings them together.

Every change of the record names what it was made from; every call of an agent bears the epoch of the record. So any
number of monitors may run, and each may be killed at any step: the next round goes on. Clocks decide nothing; patience
is counted in rounds, and what is done when it ends is safe at any time.
"""
