"""The API's description: what Litestar makes of the routes, with the bodies of requests as msgspec checks them.

Litestar leaves out that unknown fields are refused, and what holds for the items of lists.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from drystone.cluster.api import documents

_BODIES = tuple(
    found
    for found in vars(documents).values()
    if isinstance(found, type) and issubclass(found, msgspec.Struct) and found.__struct_config__.forbid_unknown_fields
)
"""Documents that refuse unknown fields: the bodies of requests."""
PUBLIC_PATH = "/v1/health"


class Description(JsonRenderPlugin):
    """openapi.json."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, complete(openapi_schema))


def complete(schema: dict[str, Any]) -> dict[str, Any]:
    """The description with the bodies' schemas, without a token where none is needed, and without a null in queries."""
    _, bodies = msgspec.json.schema_components(_BODIES, ref_template="#/components/schemas/{name}")
    components = {**schema["components"], "schemas": {**schema["components"]["schemas"], **bodies}}
    paths = {
        place: {method: _as_text(each) for method, each in methods.items()}
        for place, methods in schema["paths"].items()
    }
    paths[PUBLIC_PATH] = {method: {**each, "security": []} for method, each in paths[PUBLIC_PATH].items()}
    return {**schema, "components": components, "paths": paths}


def _as_text(operation: dict[str, Any]) -> dict[str, Any]:
    """A route whose parameters are what a URL or a header can say: one that may be left out is no null."""
    if "parameters" not in operation:
        return operation
    found = []
    for parameter in operation["parameters"]:
        rest = {key: value for key, value in parameter["schema"].items() if key != "oneOf"}
        kinds = [each for each in parameter["schema"].get("oneOf", ()) if each != {"type": "null"}]
        found.append({**parameter, "schema": {**rest, **kinds[0]}} if len(kinds) == 1 else parameter)
    return {**operation, "parameters": found}
