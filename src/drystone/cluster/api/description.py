"""The API's description: what Litestar makes of the routes, with the bodies of requests as msgspec checks them.

Litestar leaves out that unknown fields are refused, and what holds for the items of lists.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.openapi.plugins import JsonRenderPlugin

from drystone.cluster.api import documents

_BODIES = (
    documents.NewDpv,
    documents.NewIhost,
    documents.NewDvg,
    documents.Members,
    documents.Reason,
    documents.NewDlv,
    documents.NewSnapshot,
    documents.AttachmentWish,
    documents.Extension,
    documents.LegsCommit,
)
PUBLIC_PATH = "/v1/health"


class Description(JsonRenderPlugin):
    """openapi.json."""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, complete(openapi_schema))


def complete(schema: dict[str, Any]) -> dict[str, Any]:
    """The description with the bodies' schemas, and without a token where none is needed."""
    _, bodies = msgspec.json.schema_components(_BODIES, ref_template="#/components/schemas/{name}")
    components = {**schema["components"], "schemas": {**schema["components"]["schemas"], **bodies}}
    paths = dict(schema["paths"])
    paths[PUBLIC_PATH] = {method: {**each, "security": []} for method, each in paths[PUBLIC_PATH].items()}
    return {**schema, "components": components, "paths": paths}
