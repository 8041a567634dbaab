"""Every operation is valid in the server's schema."""

import pytest
from graphql import parse, validate

from launchd.client.operations import accounts, artifacts, launch, launchd_protocol, runs
from launchd.client.operations.launch import push
from launchd.client.operations.operation import Operation
from tests.support.field_args import SCHEMA

TOPICS = (accounts, artifacts, launch, launchd_protocol, runs)
NAMED = {name: value for topic in TOPICS for name, value in vars(topic).items() if isinstance(value, Operation)}
PUSHES = {f"push{options}": push(options) for options in [(), ("priority",), ("priority", "templateVariableValues")]}


@pytest.mark.parametrize("operation", (NAMED | PUSHES).values(), ids=(NAMED | PUSHES).keys())
def test_the_operation_is_valid(operation: Operation[object]) -> None:
    assert validate(SCHEMA, parse(operation.text)) == []


def test_there_are_operations_to_check() -> None:
    assert len(NAMED) > 35
