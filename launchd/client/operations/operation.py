"""What a document is. Owns the alias `result` of every root field: one generic shape thus reads nearly all answers."""

import threading
from typing import Any, Generic, TypeVar

import msgspec

from launchd.client.responses import Answer, Result

T = TypeVar("T")

#: msgspec learns a type in steps; a thread that meets one half learnt crashes the process.
_learning = threading.Lock()


class Operation(Generic[T]):
    """One document: its name, its text, and (made when first needed) the decoder of its answer."""

    __slots__ = ("_answer", "_decoder", "name", "text")

    def __init__(self, name: str, text: str, shape: Any) -> None:
        self.name = name
        self.text = text
        self._answer: Any = Answer[shape]
        self._decoder: msgspec.json.Decoder[Answer[T]] | None = None

    def decode(self, body: bytes) -> Answer[T]:
        """Read an answer. Raises `msgspec.DecodeError`, or its child `ValidationError`, for anything else."""
        if self._decoder is None:
            with _learning:
                self._decoder = msgspec.json.Decoder(self._answer)
        return self._decoder.decode(body)


Root = Operation[Result[T]]


def query(name: str, parameters: str, root: str, shape: Any) -> Operation[Any]:
    """The query `name` of one root field. `parameters` are its declared variables, without parentheses."""
    declared = f"({parameters})" if parameters else ""
    return Operation(name, f"query {name}{declared} {{ result: {root} }}", Result[shape])


def mutation(name: str, parameters: str, root: str, shape: Any) -> Operation[Any]:
    """The mutation `name` of one root field."""
    return Operation(name, f"mutation {name}({parameters}) {{ result: {root} }}", Result[shape])


def native_mutation(field: str, selection: str, shape: Any) -> Operation[Any]:
    """A mutation native to our server: it takes one `$input`, whose type is named after it."""
    name = field[0].upper() + field[1:]
    return mutation(name, f"$input: {name}Input!", f"{field}(input: $input) {{ {selection} }}", shape)


PROJECT = "$entity: String!, $project: String!"
"""Variables of a document about something in a project."""

IN_PROJECT = "project(name: $project, entityName: $entity)"
