"""A change that can be made from the page: its form, and the API's own function that does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec
from sqlalchemy import Connection

from drystone.base.errors import UsageError
from drystone.base.names import check_name
from drystone.base.sizes import parse_size
from drystone.cluster.api.documents import Preview
from drystone.cluster.model.calls import Call
from drystone.cluster.state.answers import Answer
from drystone.cluster.state.database import Work

Kind = Literal["", "dlv", "dpv", "ihost"]
Values = Mapping[str, str]
Document = TypeVar("Document")


class Field(NamedTuple):
    """A field of a form. :ivar choices: (value, words), where it is one of them. :ivar hidden: a link says it."""

    name: str
    label: str
    hint: str = ""
    value: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    required: bool = True
    hidden: bool = False


class Told(NamedTuple):
    """What a deed leads to, where that is no preview of a dlv. :ivar notes: in words."""

    notes: tuple[str, ...]
    calls: tuple[Call, ...] = ()


class Deed(NamedTuple):
    """A change. :ivar kind: what it is of; its name is the value `of`. :ivar text: what it means, for who never did it.

    :ivar act: the change for values of the form; :raises UsageError: they are not what they must be.
    :ivar preview: the calls of agents that it leads to, or what happens then, where the API can tell.
    :ivar makes: it makes the volume of which the name is the value `name`.
    :ivar is_grave: something is lost by it, or may be.
    """

    slug: str
    kind: Kind
    title: str
    button: str
    text: str
    act: Callable[[Values], Callable[[Work], Answer]]
    fields: Callable[[Connection], tuple[Field, ...]] = lambda _: ()
    preview: Callable[[Connection, Values], Preview | Told] | None = None
    is_grave: bool = False
    makes: bool = False


def subject_of(deed: Deed, values: Values) -> str:
    """The name of the volume that a deed is about, "" for none."""
    return values.get("name" if deed.makes else "of", "") if deed.kind in {"", "dlv"} else ""


def read_as(values: Values, kind: type[Document], **sizes: bool) -> Document:
    """A document of the API out of a form's values. :param sizes: which are sizes, and whether they must be there.

    :raises UsageError: it is not one.
    """
    given: dict[str, Any] = {name: value for name, value in values.items() if name != "of" and value != ""}
    for name, is_needed in sizes.items():
        if name in given or is_needed:
            given[name] = parse_size(given.get(name, ""))
    if "name" in given:
        check_name(given["name"])
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"the form: {error}") from error


def name_of(values: Values) -> str:
    """Of what the deed is of."""
    return values.get("of", "")
