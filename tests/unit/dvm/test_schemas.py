from __future__ import annotations

import json

import pytest

from drystone.dvm.schemas import SCHEMAS, json_schema, schema_files


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_names_its_document(name: str) -> None:
    schema = json_schema(name)
    assert schema["title"] == f"drystone.dvm.{name}"
    document = schema["$defs"][schema.get("$ref", "/Region").rpartition("/")[2]]
    fields = document["properties"]
    named = fields.get("schema", {})
    assert named.get("enum", [named.get("const", schema["title"])]) == [schema["title"]]


@pytest.mark.parametrize("name", [name for name in SCHEMAS if name != "result"])
def test_documents_take_no_other_fields(name: str) -> None:
    assert all(each.get("additionalProperties", False) is False for each in json_schema(name)["$defs"].values())


def test_the_files_are_json_and_the_same_at_every_run() -> None:
    files = schema_files()
    assert set(files) == {f"{name}.json" for name in SCHEMAS}
    assert files == schema_files()
    for data in files.values():
        assert json.loads(data)["$schema"].endswith("2020-12/schema")


def test_all_kinds_of_volumes_are_in_the_groups_schema() -> None:
    kinds = {
        each["properties"]["kind"]["enum"][0]
        for each in json_schema("group")["$defs"].values()
        if "kind" in each.get("properties", {})
    }
    assert {"linear", "striped", "raid1", "raid5", "raid6", "raid10", "thin_pool", "thin", "snapshot"} < kinds
