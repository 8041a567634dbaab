"""The class of a GraphQL operation, and functions that make one.

Owns the alias `result` of every root field, by which one generic shape decodes nearly all responses.
"""

import threading
from typing import Any, Generic, TypeVar

import msgspec

from launchd.client.responses import GraphQLResponse, Result

T = TypeVar("T")

#: msgspec inspects a type in steps; a second thread that uses a type half inspected crashes the process.
_decoder_lock = threading.Lock()


class Operation(Generic[T]):
    """One operation: its name, its text, and the decoder of its response, which is made at first use."""

    __slots__ = ("_decoder", "_shape", "name", "text")

    def __init__(self, name: str, text: str, shape: Any) -> None:
        self.name = name
        self.text = text
        self._shape: Any = GraphQLResponse[shape]
        self._decoder: msgspec.json.Decoder[GraphQLResponse[T]] | None = None

    def decode(self, body: bytes) -> GraphQLResponse[T]:
        """Decode a response. Raises `msgspec.DecodeError`, or its subclass `ValidationError`, for anything else."""
        if self._decoder is None:
            with _decoder_lock:
                self._decoder = msgspec.json.Decoder(self._shape)
        return self._decoder.decode(body)


Root = Operation[Result[T]]


def query(name: str, parameters: str, root: str, shape: Any) -> Operation[Any]:
    """Return the query `name` of one root field. `parameters` are its declared variables, without parentheses."""
    declared = f"({parameters})" if parameters else ""
    return Operation(name, f"query {name}{declared} {{ result: {root} }}", Result[shape])


def mutation(name: str, parameters: str, root: str, shape: Any) -> Operation[Any]:
    """Return the mutation `name` of one root field."""
    return Operation(name, f"mutation {name}({parameters}) {{ result: {root} }}", Result[shape])


def launchd_mutation(field: str, selection: str, shape: Any) -> Operation[Any]:
    """Return a mutation of the launchd protocol: it takes one `$input`, whose type is named after it."""
    name = field[0].upper() + field[1:]
    return mutation(name, f"$input: {name}Input!", f"{field}(input: $input) {{ {selection} }}", shape)


PROJECT = "$entity: String!, $project: String!"
"""Variables of an operation on something in a project."""

IN_PROJECT = "project(name: $project, entityName: $entity)"
