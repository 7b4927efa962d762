"""What an S3 function, or a call of boto3, that must refuse refuses with."""

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


def client_refusal(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    """Status and code of the answer to a call of boto3 that must fail.

    :raises AssertionError: it does not.
    """
    from botocore.exceptions import ClientError  # type: ignore[import-untyped]

    try:
        result = call(**arguments)
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]
    raise AssertionError(f"{result!r} instead of an error")
