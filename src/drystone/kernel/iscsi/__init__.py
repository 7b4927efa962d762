"""iSCSI from both sides names its things alike (`names.py`); the rest here is the initiator, by iscsiadm and sysfs."""
