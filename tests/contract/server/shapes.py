"""Checks a response of the server against what W&B's clients read: types, and no null where a client fails on it."""

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from graphql import (
    REMOVE,
    DocumentNode,
    FieldNode,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    Visitor,
    VisitorAction,
    build_schema,
    execute_sync,
    parse,
    validate,
    value_from_ast_untyped,
    visit,
)
from graphql.validation import FieldsOnCorrectTypeRule


def _json_text(value: object) -> object:
    json.loads(_text(value))
    return value


def _time(value: object) -> object:
    datetime.fromisoformat(_text(value))
    return value


def _integer_text(value: object) -> object:
    int(_text(value))
    return value


def _base64(value: object) -> object:
    base64.b64decode(_text(value), validate=True)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a string is expected, not {value!r}")
    return value


_SERIALIZERS = {"JSONString": _json_text, "DateTime": _time, "IntegerID": _integer_text, "Base64ID": _base64}


def _read_by_clients() -> GraphQLSchema:
    schema = build_schema((Path(__file__).parent / "read_by_clients.graphql").read_text())
    for name, serialize in _SERIALIZERS.items():
        scalar = schema.type_map[name]
        assert isinstance(scalar, GraphQLScalarType)
        scalar.coerce_output_value = serialize  # type: ignore[method-assign]
    return schema


SCHEMA = _read_by_clients()


def misfits(query: str, variables: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    """Return where ``data``, a response to ``query``, is not what a client reads; empty where it is."""
    document: DocumentNode = visit(parse(query), _Plain(variables))
    unknown = validate(SCHEMA, document, [FieldsOnCorrectTypeRule])
    if unknown:
        return [error.message for error in unknown]
    read = execute_sync(SCHEMA, document, data, field_resolver=_as_answered, type_resolver=_type_of)
    wrong = [f"{error.message} at {'.'.join(map(str, error.path or []))}" for error in read.errors or []]
    return wrong or ([] if read.data == data else [f"read as {read.data}, answered {data}"])


class _Plain(Visitor):
    """The parts of a document that a response shows: no arguments or variables, no field that was not included."""

    def __init__(self, variables: Mapping[str, Any]) -> None:
        super().__init__()
        self._variables = dict(variables)

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: object) -> None:
        for definition in node.variable_definitions or ():
            if definition.default_value is not None:
                default = value_from_ast_untyped(definition.default_value)
                self._variables.setdefault(definition.variable.name.value, default)

    def enter_field(self, node: FieldNode, *_: object) -> VisitorAction:
        return None if self._is_included(node) else REMOVE

    def enter_inline_fragment(self, node: InlineFragmentNode, *_: object) -> VisitorAction:
        return None if self._is_included(node) else REMOVE

    def enter_argument(self, _node: Node, *_: object) -> VisitorAction:
        return REMOVE

    def enter_directive(self, _node: Node, *_: object) -> VisitorAction:
        return REMOVE

    def enter_variable_definition(self, _node: Node, *_: object) -> VisitorAction:
        return REMOVE

    def _is_included(self, node: FieldNode | InlineFragmentNode) -> bool:
        for directive in node.directives or ():
            wanted = directive.name.value == "include"
            if value_from_ast_untyped(directive.arguments[0].value, self._variables) is not wanted:
                return False
        return True


def _as_answered(source: Mapping[str, Any], info: GraphQLResolveInfo) -> object:
    return source[str(info.path.key)]


def _type_of(value: Mapping[str, Any], *_: object) -> str:
    # Where a client does not ask for the name of a collection's type, it takes it for a sequence.
    name: str = value.get("__typename", "ArtifactSequence")
    return name
