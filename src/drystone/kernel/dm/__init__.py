"""Device-mapper: a Protocol, the real one by ioctl, and a simulated one."""
