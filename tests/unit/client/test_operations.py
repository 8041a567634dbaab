"""Every operation is valid in the server's schema."""

from pathlib import Path

import pytest
from ariadne import load_schema_from_path
from graphql import build_schema, parse, validate

import launchd.server
from launchd.client.operations import accounts, artifacts, launch, launchd_protocol, runs
from launchd.client.operations.launch import push
from launchd.client.operations.operation import Operation

SCHEMA = build_schema(load_schema_from_path(str(Path(launchd.server.__file__).with_name("schema"))))
TOPICS = (accounts, artifacts, launch, launchd_protocol, runs)
NAMED = {name: value for topic in TOPICS for name, value in vars(topic).items() if isinstance(value, Operation)}
PUSHES = {f"push{options}": push(options) for options in [(), ("priority",), ("priority", "templateVariableValues")]}


@pytest.mark.parametrize("operation", (NAMED | PUSHES).values(), ids=(NAMED | PUSHES).keys())
def test_the_operation_is_valid(operation: Operation[object]) -> None:
    assert validate(SCHEMA, parse(operation.text)) == []


def test_there_are_operations_to_check() -> None:
    assert len(NAMED) > 35
