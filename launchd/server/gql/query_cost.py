"""The cost of a valid query: every field, times the lengths of the lists it is in.

A list is as long as its `first`, `last` or `samples` says; without one it counts for a few. So a query that nests pages
in pages is refused before it reads anything. Arguments count too, each time, because one variable may be passed to
hundreds of fields.
"""

from collections.abc import Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_list_type,
)

from launchd.server.errors import Refused

MAX_COST = 250_000
HEAVY_COST = 2_000
"""A query that may read more values than this is answered apart from the others."""
HEAVY_FIELDS = frozenset(
    {
        "runs",
        "buckets",
        "runCount",
        "history",
        "sampledHistory",
        "events",
        "logLines",
        "storageBytes",
        "sweeps",
        "why",
        "fitsNoAgent",
        "findRunQueueItems",
    }
)
"""Fields that may take long for a short answer: they filter, count or sample, or look at many agents."""
PAGE = 100
"""Length of a page without an argument, or with one that is not known in advance."""
LIST = 5
"""Length of a list without pages."""
TEXT = 100
"""This many characters of an argument cost as much as one value that is read."""
MOST = 10_000
"""The longest page that any field returns."""

_LENGTHS = ("first", "last", "samples", "limit")
_PARTS = ("edges", "nodes")
"""Fields of a page whose length was counted above them."""


class QueryCost:
    """Counts what one operation of a document reads. `variables` are those sent, unchecked."""

    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        nodes = document.definitions
        self._schema = schema
        self._operation = operation
        self._variables = {**_defaults(operation), **variables}
        self._fragments = {node.name.value: node for node in nodes if isinstance(node, FragmentDefinitionNode)}
        self._known: dict[str, int] = {}
        self._fields: set[str] = set()

    def is_heavy(self) -> bool:
        """Whether the query may take long. To be called after `check`."""
        return self._cost > HEAVY_COST or not self._fields.isdisjoint(HEAVY_FIELDS)

    def check(self) -> None:
        """Count the cost.

        Raises:
            Refused: the query reads too much.
        """
        root = self._schema.get_root_type(self._operation.operation)
        self._cost = self._of(root, self._operation.selection_set)
        if self._cost > MAX_COST:
            raise Refused(
                f"The query may read {self._cost} values, at most {MAX_COST} are answered: ask for shorter pages or"
                " fewer fields."
            )

    def _of(self, parent: GraphQLNamedType | None, selections: SelectionSetNode | None) -> int:
        return sum(self._of_node(parent, node) for node in selections.selections) if selections else 0

    def _of_node(self, parent: GraphQLNamedType | None, node: Any) -> int:
        if isinstance(node, FieldNode):
            return self._of_field(parent, node)
        if isinstance(node, FragmentSpreadNode):
            return self._of_fragment(node.name.value)
        inline: InlineFragmentNode = node
        on = inline.type_condition
        return self._of(self._schema.get_type(on.name.value) if on else parent, inline.selection_set)

    def _of_fragment(self, name: str) -> int:
        if name not in self._known:
            found = self._fragments[name]
            self._known[name] = self._of(self._schema.get_type(found.type_condition.name.value), found.selection_set)
        return self._known[name]

    def _of_field(self, parent: GraphQLNamedType | None, node: FieldNode) -> int:
        self._fields.add(node.name.value)
        field: GraphQLField | None = getattr(parent, "fields", {}).get(node.name.value)
        below = get_named_type(field.type) if field else None
        return 1 + self._given(node) + self._length(field, node) * self._of(below, node.selection_set)

    def _given(self, node: FieldNode) -> int:
        variables = [argument.value for argument in node.arguments or () if isinstance(argument.value, VariableNode)]
        return sum(_weight(self._variables.get(variable.name.value)) for variable in variables)

    def _length(self, field: GraphQLField | None, node: FieldNode) -> int:
        if field is None:
            return 1
        if not field.args.keys().isdisjoint(_LENGTHS):
            return self._page_length(node)
        is_list = is_list_type(get_nullable_type(field.type))
        return LIST if is_list and node.name.value not in _PARTS else 1

    def _page_length(self, node: FieldNode) -> int:
        given = (self._number(argument.value) for argument in node.arguments or () if argument.name.value in _LENGTHS)
        return min(MOST, max((abs(number) for number in given if number is not None), default=PAGE))

    def _number(self, value: object) -> int | None:
        if isinstance(value, IntValueNode):
            return int(value.value)
        given = self._variables.get(value.name.value) if isinstance(value, VariableNode) else None
        return given if isinstance(given, int) else None


def _weight(given: object) -> int:
    if isinstance(given, str):
        return len(given) // TEXT
    return len(given) if isinstance(given, list) else 0


def _defaults(operation: OperationDefinitionNode) -> dict[str, int]:
    declared = ((node.variable.name.value, node.default_value) for node in operation.variable_definitions or ())
    return {name: int(value.value) for name, value in declared if isinstance(value, IntValueNode)}
