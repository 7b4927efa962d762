"""What an S3 function that must refuse refuses with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drystone.fleet.s3.errors import Code, S3Error


def refusal(call: Callable[..., Any], *arguments: Any, **more: Any) -> Code:
    """The code of the error that a call raises.

    :raises AssertionError: it raises none.
    """
    try:
        result = call(*arguments, **more)
    except S3Error as error:
        return error.code
    raise AssertionError(f"{result!r} instead of an error")
