"""A device-mapper without a kernel, for plans, what-if runs and tests."""

from drystone.kernel.dm.simulated.device_mapper import SimulatedDeviceMapper

__all__ = ["SimulatedDeviceMapper"]
