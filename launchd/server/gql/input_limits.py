"""Limits on strings and lists in a query: lengths, and characters that no store and no file name can hold."""

import re
from collections.abc import Iterator
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    StringValueNode,
    Visitor,
    get_nullable_type,
    type_from_ast,
    visit,
)

from launchd.server.errors import Refused

MAX_TEXT = 256 * 1024
"""Characters of a string. A string of JSON may be as long as the request."""

MAX_LIST = 10_000
"""Several times what W&B's clients send; most values cost a statement each, while all other writers wait."""

_CHECKED_ONE_BY_ONE = ("RunQueueItemAck", "RunQueueItemReport", "HeldItem", "GpusInput")
"""Inputs of agents about one item each, or about their host: what is wrong in one must not refuse the rest of the
request, so their resolvers check."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_IGNORED = "desc"
"""`wandb verify` sends ten million characters in it, for an argument of a run that nothing here reads."""
_UNLIMITED_TYPES = ("JSONString", "JSON")


def check_literals(document: DocumentNode) -> None:
    """Check the string literals in the query.

    Raises:
        Refused: too long, or with a character that cannot be stored.
    """
    visit(document, _Literals())


class _Literals(Visitor):
    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        _check("A string in the query", node.value, MAX_TEXT)


def check_variables(schema: GraphQLSchema, operation: OperationDefinitionNode, variables: dict[str, Any]) -> None:
    """Check the strings and lists in those variables that the operation declares.

    Raises:
        Refused: as in `check_literals`; a list is too long.
    """
    for declared in operation.variable_definitions or ():
        name = declared.variable.name.value
        is_unlimited = name == _IGNORED and operation.operation is OperationType.QUERY
        for text, kind in _texts(variables.get(name), type_from_ast(schema, declared.type)):
            longest = None if is_unlimited or kind in _UNLIMITED_TYPES else MAX_TEXT
            _check(f"A string in the variable {name!r}", text, longest)


def _texts(value: Any, kind: Any) -> Iterator[tuple[str, str]]:
    """Every string with the name of its type, as far as the value has the form of the type."""
    plain = get_nullable_type(kind)
    if isinstance(plain, GraphQLList):
        given = value if isinstance(value, list) else [value]
        if len(given) > MAX_LIST:
            raise Refused(f"A list of {len(given)} values is too long; at most {MAX_LIST} are taken at once.")
        for inner in given:
            yield from _texts(inner, plain.of_type)
    elif isinstance(plain, GraphQLInputObjectType) and isinstance(value, dict):
        if plain.name in _CHECKED_ONE_BY_ONE:
            return
        for name, field in plain.fields.items():
            yield from _texts(value.get(name), field.type)
    elif isinstance(value, str):
        yield value, plain.name if plain else ""


def _check(what: str, text: str, longest: int | None) -> None:
    if longest is not None and len(text) > longest:
        raise Refused(f"{what} has {len(text)} characters; at most {longest} are taken.")
    if "\0" in text:
        raise Refused(f"{what} has a NUL character, which cannot be kept.")
    if _SURROGATE.search(text):
        raise Refused(f"{what} has half of a surrogate pair, which is no character.")
