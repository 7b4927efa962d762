"""The persistent-data library of device-mapper: checksums, btrees, arrays, space maps."""
