"""Cache of parsed and validated documents, by their text: clients send the same few documents over and over."""

from collections import OrderedDict

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    get_operation_ast,
    parse,
    validate,
)

from launchd.server.errors import Refused
from launchd.server.gql.input_limits import check_literals
from launchd.server.gql.limits import MAX_TOKENS, check_size

_KEPT = 500
_LONGEST_KEPT = 20_000
_MOST_ERRORS = 20


class InvalidDocument(Refused):
    """The query does not parse or does not fit the schema. W&B's clients search the text of `errors`."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


class DocumentCache:
    """The last few hundred documents, ready to execute."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._kept: OrderedDict[str, DocumentNode] = OrderedDict()

    def get(self, text: str) -> DocumentNode:
        """The parsed and validated document.

        Raises:
        InvalidDocument: it does not parse or validate.
        Refused: it is too big, or holds strings that are not accepted.
        """
        document = self._kept.get(text)
        if document is not None:
            self._kept.move_to_end(text)
            return document
        document = self._check(text)
        self._keep(text, document)
        return document

    def _check(self, text: str) -> DocumentNode:
        try:
            document = parse(text, no_location=True, max_tokens=MAX_TOKENS)
        except GraphQLError as error:
            raise InvalidDocument([error]) from error
        except RecursionError as error:
            raise Refused("The query is nested too deeply.") from error
        check_size(document)
        check_literals(document)
        errors = validate(self._schema, document, max_errors=_MOST_ERRORS)
        if errors:
            raise InvalidDocument(errors)
        return document

    def _keep(self, text: str, document: DocumentNode) -> None:
        if len(text) > _LONGEST_KEPT:
            return
        self._kept[text] = document
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


def operation_of(document: DocumentNode, name: str | None) -> OperationDefinitionNode:
    """The operation that will be executed.

    Raises:
        Refused: none has this name, or there are several and no name.
    """
    # W&B's newer clients send "" for "the only one".
    operation = get_operation_ast(document, name or None)
    if operation is None:
        raise Refused(
            f"The query has no operation {name[:80]!r}." if name else "Name the operation: there are several."
        )
    return operation
