"""How big a query may be once its fragments are laid out. Owns the limits."""

from collections.abc import Mapping

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from launchd.server.errors import Refused

# Sizes are counted without laying out, so that a small document cannot make this explode.
MAX_TOKENS = 20_000
MAX_DEPTH = 25
MAX_FIELDS = 5_000

_Size = tuple[int, int]
"""Depth and number of fields."""


def check_size(document: DocumentNode) -> None:
    """The document must be valid (no fragment cycles).

    Raises:
        Refused: too deep or too many fields.
    """
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    known: dict[str, _Size] = {}
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            depth, fields = _measure(node.selection_set, fragments, known)
            if depth > MAX_DEPTH:
                raise Refused(f"The query is {depth} levels deep; at most {MAX_DEPTH} are answered.")
            if fields > MAX_FIELDS:
                raise Refused(f"The query selects {fields} fields; at most {MAX_FIELDS} are answered.")


def _measure(
    selections: SelectionSetNode | None, fragments: Mapping[str, FragmentDefinitionNode], known: dict[str, _Size]
) -> _Size:
    deepest = total = 0
    for node in selections.selections if selections else ():
        if isinstance(node, FragmentSpreadNode):
            depth, fields = _of_fragment(node.name.value, fragments, known)
        else:
            own = 1 if isinstance(node, FieldNode) else 0
            depth, fields = _measure(getattr(node, "selection_set", None), fragments, known)
            depth, fields = depth + own, fields + own
        deepest, total = max(deepest, depth), total + fields
    return deepest, total


def _of_fragment(name: str, fragments: Mapping[str, FragmentDefinitionNode], known: dict[str, _Size]) -> _Size:
    if name not in known:
        known[name] = _measure(fragments[name].selection_set, fragments, known)
    return known[name]
