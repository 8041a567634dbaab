"""`POST /graphql`: from a request to its response, and the status of each kind of failure."""

import asyncio
import logging
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    FieldNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    execute,
)
from starlette.requests import Request
from starlette.responses import Response

from launchd.server.answer_budget import AnswerBudget
from launchd.server.auth import may_write
from launchd.server.container import AppState
from launchd.server.context import Context
from launchd.server.errors import Refused
from launchd.server.gql.document_cache import DocumentCache, InvalidDocument, operation_of
from launchd.server.gql.envelope import Envelope, read_envelope
from launchd.server.gql.input_limits import check_variables
from launchd.server.gql.not_here import sentence_for
from launchd.server.gql.query_cost import QueryCost
from launchd.server.http.disconnect import watch_disconnect
from launchd.server.http.measured_requests import name_operation
from launchd.server.http.responses import error_response, json_response
from launchd.server.models import Viewer
from launchd.server.store.database import Lane

logger = logging.getLogger(__name__)

_BUG = "The queue server failed on this request; its log says why."


class GraphQLEndpoint:
    """Executes the documents that clients send, each as the viewer of its API key."""

    def __init__(self, schema: GraphQLSchema, app: AppState) -> None:
        self._schema = schema
        self._documents = DocumentCache(schema)
        self._app = app

    async def answer(self, request: Request) -> Response:
        """Answer one request; see `launchd.server.errors` for the statuses of failures.

        Raises:
            ServerError: the request was refused before execution.
        """
        viewer = await self._app.auth.viewer(request)
        envelope = read_envelope(await self._app.bodies.read(request, self._app.settings.max_body_bytes))
        try:
            document = self._documents.get(envelope.query)
        except InvalidDocument as invalid:
            return _response_to_invalid([error.message for error in invalid.errors], invalid.status)
        operation = operation_of(document, envelope.operation_name)
        variables = envelope.variables or {}
        name_operation(request, _first_field(operation))
        check_variables(self._schema, operation, variables)
        cost = QueryCost(self._schema, document, operation, variables)
        cost.check()
        if operation.operation is OperationType.MUTATION:
            return await self._answer(document, envelope, self._context(may_write(viewer), request, Lane.FIRST))
        if cost.is_heavy():
            return await self._answer_apart(document, envelope, self._context(viewer, request, Lane.HEAVY))
        return await self._answer(document, envelope, self._context(viewer, request, Lane.USUAL))

    def _context(self, viewer: Viewer, request: Request, lane: Lane) -> Context:
        return Context(self._app, viewer, request, lane, AnswerBudget(self._app.settings.max_answer_bytes))

    async def _answer_apart(self, document: DocumentNode, envelope: Envelope, context: Context) -> Response:
        async with watch_disconnect(context.request, context.answer.give_up):
            return await self._app.heavy_queries.run(
                context.viewer.user_id, context.answer, lambda: self._answer(document, envelope, context)
            )

    async def _answer(self, document: DocumentNode, envelope: Envelope, context: Context) -> Response:
        return _response(envelope, await self._execute(document, envelope, context), context.answer)

    async def _execute(self, document: DocumentNode, envelope: Envelope, context: Context) -> ExecutionResult:
        limit = self._app.settings.request_seconds
        result = execute(
            self._schema,
            document,
            context_value=context,
            variable_values=envelope.variables or {},
            operation_name=envelope.operation_name or None,
        )
        if isinstance(result, ExecutionResult):
            return result
        try:
            return await asyncio.wait_for(result, limit)
        except TimeoutError as error:
            raise Refused(f"The request took longer than {limit:g} s and was given up.") from error


def _response_to_invalid(complaints: list[str], status: int) -> Response:
    sentence = sentence_for(complaints)
    return error_response(status, *complaints) if sentence is None else error_response(200, sentence)


def _first_field(operation: OperationDefinitionNode) -> str:
    """What the operation does, by its first field, which the schema has; its own name is the sender's choice."""
    match operation.selection_set.selections[0]:
        case FieldNode(name=name):
            return name.value
        case _:
            return operation.operation.value


def _response(envelope: Envelope, result: ExecutionResult, budget: AnswerBudget) -> Response:
    """The response with this result.

    Raises:
        Refused: it is too big.
    """
    budget.check(result.data)
    if not result.errors:
        return json_response(200, {"data": result.data})
    status = max(_status(error) for error in result.errors)
    if status == 500:
        _log_bugs(envelope, result.errors)
    errors = [_error(error) for error in result.errors]
    return json_response(status, {"errors": errors, "data": result.data})


def _error(error: GraphQLError) -> dict[str, Any]:
    shown: dict[str, Any] = {"message": _message(error), "path": error.path}
    code = getattr(error.original_error, "code", None)
    return shown | {"extensions": {"code": code}} if code else shown


def _status(error: GraphQLError) -> int:
    """Errors of GraphQL itself (a variable's type) are the caller's, 400; exceptions of resolvers are the server's."""
    original = error.original_error
    if original is None or isinstance(original, GraphQLError | RecursionError):
        return 400
    return int(getattr(original, "status", 500))


def _message(error: GraphQLError) -> str:
    return error.message if _status(error) != 500 else _BUG


def _log_bugs(envelope: Envelope, errors: list[GraphQLError]) -> None:
    for error in errors:
        if _status(error) == 500:
            fields = {"operation": envelope.query[:200], "path": error.path}
            logger.error("A resolver failed.", extra=fields, exc_info=error.original_error)
