"""Requests that schemathesis makes of the API's own description: each is answered as that says, and none breaks it.

Names that lead elsewhere, sizes that overflow, bodies of other types, parameters that nobody knows: what comes is an
answer of a status and a shape that the description names, never a 5xx. All against one database that fills as it goes;
what agents alone may ask is asked with an agent's token.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from drystone.testing.cluster.client import AGENT, OPERATOR, Client, open_client

EXAMPLES = 8
"""Of each operation and kind of request."""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Of an API with a dvg, a dlv and an ihost, so that some names are known."""
    with open_client(f"sqlite:///{tmp_path_factory.mktemp('api')}/cluster.db") as opened:
        opened.make_group("d1", "d2", "d3")
        opened.make_ihost("h1")
        opened.make_dlv()
        yield opened


def can_be_wrong(operation: APIOperation[Any, Any, Any, Any]) -> bool:
    """Whether there is anything in a request that the description could forbid."""
    return any(True for _ in operation.iter_parameters()) or bool(operation.body)


def ask(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> None:
    """Make requests of one kind, and compare what is answered with the description."""
    token = AGENT if operation.path.startswith("/v1/agents/") else OPERATOR

    @hypothesis.settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None)
    @hypothesis.given(operation.as_strategy(mode))
    def once(case: Case[Any]) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"})

    once()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_answers_are_as_described(client: Client, subtests: pytest.Subtests, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_asgi("/v1/schema/openapi.json", client.application)
    operations = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    assert len(operations) > 30
    for operation in operations:
        if mode is GenerationMode.POSITIVE or can_be_wrong(operation):
            with subtests.test(operation.label):
                ask(operation, mode)
