"""The GraphQL operations in the program of a W&B client: its Python files and its core, which keeps them as text."""

import re
from collections.abc import Iterator
from pathlib import Path

from graphql import GraphQLError, GraphQLSchema, parse, validate

_OPERATION = re.compile(r"\b(?:query|mutation)\s+(\w+)\s*(?:\([^{}]*\))?\s*\{")
_FRAGMENT = re.compile(r"\bfragment (\w+) on \w+\s*\{")
_SPREAD = re.compile(r"\.\.\.\s?(?!on\b)([A-Za-z_]\w*)")
_PRINTABLE = re.compile(rb"[\x20-\x7e\n\t]{40,}")
_MARK = re.compile(rb"\b(query|mutation|fragment) \w+ ")
#: A line that the client replaces before it sends the text.
_REPLACED = re.compile(r"^\s*_\w+_\s*$", re.MULTILINE)
_LONGEST = 20_000
#: W&B's, by the names that programs import.
_PACKAGES = ("wandb", "wandb_workspaces")


class Operations:
    """What one version of the client may send. Texts that are put together at run time are left out."""

    def __init__(self, home: Path) -> None:
        (packages,) = (home / "lib").glob("python3*/site-packages")
        core = packages / "wandb" / "bin" / "wandb-core"
        self._texts = [text for name in _PACKAGES for text in _python_texts(packages / name)] + [*_core_texts(core)]
        self._fragments = {name: text for whole in self._texts for name, text in _named(_FRAGMENT, whole)}

    def complaints(self, schema: GraphQLSchema) -> dict[str, set[str]]:
        """Return what the schema says against the operations, with the names of those."""
        found: dict[str, set[str]] = {}
        for whole in self._texts:
            for name, text in _named(_OPERATION, whole):
                for complaint in self._complaints_about(schema, text):
                    found.setdefault(complaint, set()).add(name)
        return found

    def _complaints_about(self, schema: GraphQLSchema, text: str) -> list[str]:
        try:
            document = parse("\n".join([text, *self._needed(text)]))
        except GraphQLError:
            return []
        return [error.message for error in validate(schema, document)]

    def _needed(self, text: str) -> Iterator[str]:
        seen: set[str] = set()
        names = _SPREAD.findall(text)
        while names:
            name = names.pop()
            if name in self._fragments and name not in seen:
                seen.add(name)
                names += _SPREAD.findall(self._fragments[name])
                yield self._fragments[name]


def _python_texts(package: Path) -> Iterator[str]:
    for path in package.rglob("*.py"):
        text = path.read_bytes()
        if "vendor" not in path.parts and _MARK.search(text):
            yield _REPLACED.sub("", text.decode(errors="replace"))


def _core_texts(core: Path) -> Iterator[str]:
    if core.exists():
        for found in _PRINTABLE.finditer(core.read_bytes()):
            if _MARK.search(found.group()):
                yield found.group().decode()


def _named(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    for match in pattern.finditer(text):
        end = _end_of_block(text, match.end() - 1)
        if end is not None:
            yield match[1], text[match.start() : end]


def _end_of_block(text: str, start: int) -> int | None:
    depth = 0
    for place in range(start, min(len(text), start + _LONGEST)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    return None
