"""XML in and out: small trees of names and texts. Reading refuses document types and entities, and is bounded."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from xml.parsers import expat

from drystone.fleet.s3.errors import Code, S3Error

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_DEPTH = 16
MAX_NODES = 100_000
MAX_TEXT = 8192
"""Characters in one element."""
Value: TypeAlias = str | int | bool | Sequence[tuple[str, "Value"]] | None
"""Of an element: a text, or the elements in it by name. None leaves the element out."""
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_SPECIAL = re.compile('[&<>"\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]')


@dataclass(slots=True)
class Node:
    """An element of a document that was read. :ivar name: without its namespace. :ivar text: of itself, stripped."""

    name: str
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def find(self, *names: str) -> Node | None:
        """The first element at this path below, None when there is none."""
        node: Node | None = self
        for name in names:
            node = next((each for each in node.children if each.name == name), None) if node else None
        return node

    def find_text(self, *names: str, default: str = "") -> str:
        """Its text; `default` when there is none."""
        node = self.find(*names)
        return default if node is None else node.text

    def each(self, name: str) -> Iterator[Node]:
        """The elements of this name directly below."""
        return (node for node in self.children if node.name == name)


def parse(data: bytes, root: str) -> Node:
    """The document in `data`, whose root element must be `root`.

    :raises S3Error: MalformedXML.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = reader.refuse
    parser.EntityDeclHandler = reader.refuse
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise S3Error(Code.MalformedXML) from error
    if reader.root is None or reader.root.name != root:
        raise S3Error(Code.MalformedXML, f"The document must be a {root}.")
    return reader.root


class _Reader:
    """Builds the tree from expat's events."""

    def __init__(self) -> None:
        self.root: Node | None = None
        self._open: list[Node] = []
        self._nodes = 0

    def refuse(self, *_: object) -> None:
        raise S3Error(Code.MalformedXML, "Document types are not read.")

    def start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002  # expat's signature
        node = Node(name.rpartition(" ")[2])
        self._nodes += 1
        if self._nodes > MAX_NODES or len(self._open) >= MAX_DEPTH:
            raise S3Error(Code.MalformedXML, "The document has too many elements.")
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def end(self, name: str) -> None:  # noqa: ARG002  # expat's signature
        node = self._open.pop()
        if node.children:
            node.text = node.text.strip()

    def text(self, data: str) -> None:
        node = self._open[-1]
        node.text += data
        if len(node.text) > MAX_TEXT:
            raise S3Error(Code.MalformedXML, "An element is too long.")


def _escape(text: str) -> str:
    return _SPECIAL.sub(_spell, text) if _SPECIAL.search(text) else text


def _spell(found: re.Match[str]) -> str:
    return _NAMED.get(found[0]) or f"&#x{ord(found[0]):X};"


def _write(name: str, value: Value, pieces: list[str]) -> None:
    if value is None:
        return
    tag = name.partition(" ")[0] if " " in name else name
    if isinstance(value, str):
        pieces.append(f"<{name}>{_escape(value)}</{tag}>")
    elif isinstance(value, int):
        pieces.append(f"<{name}>{str(value).lower()}</{tag}>")
    else:
        pieces.append(f"<{name}>")
        for child, inner in value:
            _write(child, inner, pieces)
        pieces.append(f"</{tag}>")


def render(root: str, value: Value, *, namespace: bool = True) -> bytes:
    """A document in UTF-8. :param namespace: name S3's on the root element."""
    pieces = ['<?xml version="1.0" encoding="UTF-8"?>\n']
    _write(f'{root} xmlns="{NAMESPACE}"' if namespace else root, value, pieces)
    return "".join(pieces).encode("utf-8", "replace")
