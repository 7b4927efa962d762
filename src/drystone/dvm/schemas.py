"""The JSON Schemas of all documents that the tools of `dvm` exchange.

`SCHEMAS` maps the name of a document to its type; `json_schema` gives the schema as JSON Schema 2020-12, and
`schema_files` what is published under docs/reference/schemas. What a schema cannot say (no extent used twice, every
reference resolves) the parsers check.
"""

from __future__ import annotations

import inspect
from typing import Any

import msgspec

from drystone.dvm import configuration, program, result, session, state
from drystone.dvm.boot import install
from drystone.dvm.discovery import devices
from drystone.dvm.groups import group
from drystone.dvm.lvm2 import documents as lvm2
from drystone.dvm.planning import layout, plan, replacement, resizing
from drystone.dvm.replication import documents as replicate_documents
from drystone.dvm.replication import regions
from drystone.dvm.reports import live
from drystone.dvm.reports import rows as report_rows
from drystone.dvm.transactions import documents as transact_documents
from drystone.dvm.transactions import start, survey, version

SCHEMAS: dict[str, Any] = {
    "activation": start.Activated,
    "boot": install.Installed,
    "configuration": configuration.Configuration,
    "devices": devices.Devices,
    "diff": transact_documents.Difference,
    "group": group.Group,
    "groups": devices.Groups,
    "layout": layout.Layout,
    "live": live.Live,
    "log": transact_documents.Log,
    "lvm2.groups": lvm2.GroupsDocument,
    "lvm2.scan": lvm2.ScanDocument,
    "lvm2.texts": lvm2.TextsDocument,
    "plan": plan.Plan,
    "program": program.Program,
    "regions": tuple[regions.Region, ...],
    "replacement": replacement.Replacement,
    "replay": session.Replay,
    "replicate.history": replicate_documents.History,
    "replicate.outcome": replicate_documents.Outcome,
    "replicate.status": replicate_documents.Status,
    "report": report_rows.Report,
    "resizing": resizing.Resizing,
    "result": result.Result,
    "session": session.Run,
    "state": state.State,
    "transaction": transact_documents.Outcome,
    "verification": survey.Verification,
    "version": version.Version,
}
"""A document's name, as in its `schema`, -> its type."""


def json_schema(name: str) -> dict[str, Any]:
    """The schema of the document `name`."""
    schema = msgspec.json.schema(SCHEMAS[name])
    for each in schema["$defs"].values():
        if "description" in each:
            each["description"] = inspect.cleandoc(each["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"drystone.dvm.{name}",
        **schema,
    }


def schema_files() -> dict[str, bytes]:
    """File name -> its bytes, for every document; the same at every run."""
    return {
        f"{name}.json": msgspec.json.format(msgspec.json.encode(json_schema(name), order="deterministic"), indent=2)
        + b"\n"
        for name in sorted(SCHEMAS)
    }
