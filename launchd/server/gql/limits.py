"""Limits on the form of a document: depth, fields, fragments. `query_cost` limits what a valid query may read.

Sizes are those of the query with its fragments expanded, counted without expanding them, so that a small document
cannot make the count explode. They are checked before GraphQL's own rules, which compare every field with every other
of the same name.
"""

from collections import Counter
from collections.abc import Iterator

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from launchd.server.errors import Refused

# Several times what W&B's clients send.
MAX_TOKENS = 1_500
MAX_DEPTH = 25
MAX_FIELDS = 2_000
MAX_ROOTS = 50
MAX_FRAGMENTS = 20
MAX_SAME = 3
"""How often one selection may have the same name."""

_Size = tuple[int, int]
"""Depth and number of fields."""


class _Sizes:
    """Sizes of the selections of one document."""

    def __init__(self, document: DocumentNode) -> None:
        nodes = document.definitions
        self._fragments = {node.name.value: node for node in nodes if isinstance(node, FragmentDefinitionNode)}
        self._known: dict[str, _Size] = {}

    def of(self, selections: SelectionSetNode | None) -> _Size:
        deepest = total = 0
        for node in selections.selections if selections else ():
            if isinstance(node, FragmentSpreadNode):
                depth, fields = self._of_fragment(node.name.value)
            else:
                own = 1 if isinstance(node, FieldNode) else 0
                depth, fields = self.of(getattr(node, "selection_set", None))
                depth, fields = depth + own, fields + own
            deepest, total = max(deepest, depth), total + fields
        return deepest, total

    def _of_fragment(self, name: str) -> _Size:
        if name not in self._known:
            # Counts as nothing while it is computed: GraphQL's rules refuse recursive and missing fragments.
            self._known[name] = 0, 0
            found = self._fragments.get(name)
            self._known[name] = self.of(found.selection_set if found else None)
        return self._known[name]


def check_size(document: DocumentNode) -> None:
    """Raises:
    Refused: too deep, too many fields or root fields, or the same name too often.
    """
    sizes = _Sizes(document)
    fragments = sum(isinstance(node, FragmentDefinitionNode) for node in document.definitions)
    if fragments > MAX_FRAGMENTS:
        raise Refused(f"The query has {fragments} fragments; at most {MAX_FRAGMENTS} are taken.")
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode | FragmentDefinitionNode):
            _check_names(node.selection_set)
        if isinstance(node, OperationDefinitionNode):
            _check(node, *sizes.of(node.selection_set))


def _check(operation: OperationDefinitionNode, depth: int, fields: int) -> None:
    if depth > MAX_DEPTH:
        raise Refused(f"The query is {depth} levels deep; at most {MAX_DEPTH} are answered.")
    if fields > MAX_FIELDS:
        raise Refused(f"The query selects {fields} fields; at most {MAX_FIELDS} are answered.")
    roots = len(operation.selection_set.selections)
    if roots > MAX_ROOTS:
        raise Refused(f"The query asks for {roots} things at once; at most {MAX_ROOTS} are answered.")


def _check_names(selections: SelectionSetNode) -> None:
    names = Counter(_names(selections))
    for name, times in names.most_common(1):
        if times > MAX_SAME:
            raise Refused(f"The query selects {name!r} {times} times in one place; at most {MAX_SAME} are answered.")
    for node in selections.selections:
        below = getattr(node, "selection_set", None)
        if below is not None:
            _check_names(below)


def _names(selections: SelectionSetNode) -> Iterator[str]:
    for node in selections.selections:
        if isinstance(node, FieldNode):
            yield (node.alias or node.name).value
        elif isinstance(node, FragmentSpreadNode):
            yield node.name.value
