"""The volume group as a document, what may be in it, and the device-mapper state that it stands for."""
