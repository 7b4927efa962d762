"""A fleet under a simulated clock and network: the real mapper and the real rules of a replica, with everything around
them that can go wrong. `python -m drystone.testing.fleet.world --seeds 0:1000` tries a thousand schedules.

A schedule is a seed. In it clients put, create, get and delete; servers stop, hang, lose disks; mappers stop and hang;
the network delays, loses, doubles and is cut, also one way; the database does not answer, answers after it has done
what was asked as if it had not, is put back to an older state, or is lost; operators hand leads over and empty disks.
The history must show:

* no acknowledged change lost, and no read of something older than what was acknowledged or read before it began;
* in each epoch of a placement one server only that acknowledges;
* copies in sync that are equal, whenever nothing is under way;
* at the end, when all is mended, every host readable that has a complete copy left.

docs/explanation/fleet-proofs.md says more.
"""
