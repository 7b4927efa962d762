"""Errors on the wire: problem documents (RFC 9457) out of the error tree, and the tree's errors out of them.

A problem is `{"type", "title", "status", "detail", "code", "hint", "request_id", "facts"}`; `code` names the class of
drystone.base.errors, so that the far side raises what the near side raised. Statuses are few: 404 for what does not
exist, 413 and 408 for a body that is too large or too slow, 500 for a defect of ours, 400 for everything else.
"""

from __future__ import annotations

from collections.abc import Mapping

from drystone.base.errors import DrystoneError, InternalError, KernelError, NotFoundError, error_classes

CONTENT_TYPE = "application/problem+json"


def status_of(error: DrystoneError) -> int:
    """The HTTP status that goes with an error."""
    if isinstance(error, NotFoundError):
        return 404
    if isinstance(error, InternalError):
        return 500
    return 400


def to_problem(error: DrystoneError, *, status: int | None = None, request_id: str = "") -> dict[str, object]:
    """The problem document of `error`."""
    return {
        "type": "about:blank",
        "title": error.advice,
        "status": status or status_of(error),
        "detail": error.message,
        "code": error.code,
        "hint": error.hint,
        "request_id": request_id,
        "facts": {key: value for key, value in error.facts.items() if _is_plain(value)},
    }


def _is_plain(value: object) -> bool:
    """Whether a fact is JSON by itself; others are left out of the document."""
    if isinstance(value, list | tuple):
        return all(_is_plain(each) for each in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(each) for key, each in value.items())
    return value is None or isinstance(value, str | int | float | bool)


def from_problem(document: Mapping[str, object]) -> DrystoneError:
    """The error that `document` stands for; a code that is not known gives a plain DrystoneError."""
    message = str(document.get("detail") or document.get("title") or "the service reported a failure")
    hint = str(document.get("hint") or "")
    given = document.get("facts")
    facts: dict[str, object] = {str(key): value for key, value in given.items()} if isinstance(given, dict) else {}
    if request_id := document.get("request_id"):
        facts["request_id"] = str(request_id)
    kinds = {kind.code: kind for kind in error_classes()}
    kind = kinds.get(str(document.get("code")), DrystoneError)
    if kind is KernelError:
        return _kernel_error(message, hint, facts)
    facts = {key: value for key, value in facts.items() if key not in {"message", "hint", "self"}}
    return kind(message, hint=hint, **facts)


def _kernel_error(message: str, hint: str, facts: dict[str, object]) -> KernelError:
    """A KernelError whose message is the one that was sent, not one made anew from this machine's errno."""
    number = facts.pop("errno", 0)
    device = facts.pop("device", None)
    operation = str(facts.pop("operation", "a system call"))
    facts.pop("errno_name", None)
    error = KernelError(
        operation,
        number if isinstance(number, int) else 0,
        device=None if device is None else str(device),
        hint=hint,
        **{key: value for key, value in facts.items() if key not in {"number", "hint", "self"}},
    )
    error.message = message
    error.args = (message,)
    return error
