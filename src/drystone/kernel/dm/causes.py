"""From the errno of a device-mapper call to the class of error that says what to do.

The layers that make calls look at errno; a person or a script wants to know whether the device is busy or not there.
"""

from __future__ import annotations

import errno

from drystone.base.errors import (
    BusyError,
    DrystoneError,
    ExhaustedError,
    ExistsError,
    KernelError,
    NotFoundError,
    UsageError,
)

_CLASSES: dict[tuple[str, int], type[DrystoneError]] = {
    ("create", errno.EINVAL): UsageError,
    ("create", errno.EBUSY): ExistsError,
    ("create", errno.ENXIO): ExistsError,
    ("rename", errno.EINVAL): UsageError,
    ("rename", errno.EBUSY): ExistsError,
    ("set-uuid", errno.EINVAL): ExistsError,
    ("set-uuid", errno.EBUSY): ExistsError,
    ("message", errno.EEXIST): ExistsError,
    ("message", errno.ENODATA): NotFoundError,
    ("", errno.EBUSY): BusyError,
    ("", errno.ENXIO): NotFoundError,
    ("", errno.ENODEV): NotFoundError,
    ("", errno.ENOSPC): ExhaustedError,
    ("", errno.ENOMEM): ExhaustedError,
}
"""By operation and errno; "" for every other operation."""


def class_of(operation: str, number: int) -> type[DrystoneError]:
    """The class of error for errno `number` of a device-mapper call; KernelError when errno says no more."""
    return _CLASSES.get((operation, number)) or _CLASSES.get(("", number), KernelError)


def classed(error: KernelError, device: str = "") -> DrystoneError:
    """The same failure by its class, with all its facts.

    :param device: what the user called it; the call itself may have been made by number.
    """
    named = device or error.device
    kind = class_of(error.operation, error.errno)
    known = ("operation", "device", "errno", "errno_name")
    facts = {key: value for key, value in error.facts.items() if key not in known}
    same = KernelError(error.operation, error.errno, device=named, hint=error.hint, **facts)
    return same if kind is KernelError else kind(same.message, hint=same.hint, **same.facts)
