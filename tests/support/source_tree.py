"""The project's source read as syntax, and the rules of the house that one can see there.

A rule takes a :class:`SourceTree` and returns one line per violation, so that it can be tried on a planted one.
"""

import ast
import graphlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGES = ("ipc", "launchd", "workers")


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, its path below the root and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    def calls(self, function: str) -> Iterator[ast.Call]:
        """Yield every call of the plain name ``function``."""
        return (call for call in self._calls() if isinstance(call.func, ast.Name) and call.func.id == function)

    def calls_of_method(self, name: str) -> Iterator[ast.Call]:
        """Yield every call of an attribute ``name``, of whatever object or module."""
        return (call for call in self._calls() if isinstance(call.func, ast.Attribute) and call.func.attr == name)

    def _calls(self) -> Iterator[ast.Call]:
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.Call))

    def at(self, node: ast.expr) -> str:
        """Return where ``node`` stands, as ``path:line``."""
        return f"{self.path}:{node.lineno}"


class SourceTree:
    """Every module of the project's packages below ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules = {module.name: module for module in self._read()}

    def _read(self) -> Iterator[Module]:
        for package in PACKAGES:
            for path in sorted((self.root / package).rglob("*.py")):
                relative = path.relative_to(self.root)
                parts = relative.with_suffix("").parts
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                yield Module(name, relative, ast.parse(path.read_text(), str(path)))

    @cached_property
    def imports(self) -> dict[str, set[str]]:
        """What each module imports, our own as modules and the others as written, wherever the import stands."""
        return {name: set(self._imported_by(module)) for name, module in self.modules.items()}

    def _imported_by(self, module: Module) -> Iterator[str]:
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (self._target(module, node, alias.name) for alias in node.names)

    def _target(self, module: Module, node: ast.ImportFrom, name: str) -> str:
        base = node.module or ""
        if node.level:
            package = module.name if module.path.name == "__init__.py" else module.name.rpartition(".")[0]
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *([node.module] if node.module else [])])
        return f"{base}.{name}" if f"{base}.{name}" in self.modules else base

    @cached_property
    def class_names(self) -> set[str]:
        """The name of every class defined in the project's packages."""
        return {
            node.name
            for module in self.modules.values()
            for node in ast.walk(module.tree)
            if isinstance(node, ast.ClassDef)
        }


def within(name: str, package: str) -> bool:
    """Return whether the module ``name`` is ``package`` or lies in it."""
    return name == package or name.startswith(f"{package}.")


def leaf_violations(tree: SourceTree) -> list[str]:
    """``ipc`` imports the standard library, msgspec and itself."""
    allowed = {"ipc", "msgspec", *sys.stdlib_module_names}
    return _imports_where(tree, "ipc", lambda target: target.partition(".")[0] not in allowed)


def launchd_imports_workers(tree: SourceTree) -> list[str]:
    """``launchd`` never imports ``workers``."""
    return _imports_where(tree, "launchd", lambda target: within(target, "workers"))


def workers_import_launchd(tree: SourceTree) -> list[str]:
    """``workers`` import nothing of ``launchd`` but ``launchd.client``."""
    return _imports_where(
        tree, "workers", lambda target: within(target, "launchd") and not within(target, "launchd.client")
    )


def _imports_where(tree: SourceTree, package: str, forbidden: Callable[[str], bool]) -> list[str]:
    return [
        f"{name} imports {target}"
        for name, targets in tree.imports.items()
        for target in sorted(targets)
        if within(name, package) and forbidden(target)
    ]


def runners_import_each_other(tree: SourceTree) -> list[str]:
    """A runner stands alone: no module of one imports a module of another."""

    def runner_of(name: str) -> str | None:
        return name.split(".")[2] if name.startswith("workers.runners.") else None

    return [
        f"{name} imports {target}"
        for name, targets in tree.imports.items()
        for target in sorted(targets)
        if runner_of(name) and runner_of(target) and runner_of(name) != runner_of(target)
    ]


def import_cycles(tree: SourceTree) -> list[str]:
    """No module imports itself by way of others, imports inside functions counted."""
    graph = {name: {target for target in targets if target in tree.modules} for name, targets in tree.imports.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [" <- ".join(error.args[1])]
    return []


def prints_outside_the_command_line(tree: SourceTree) -> list[str]:
    """Only ``launchd.cli`` prints."""
    return [
        module.at(call)
        for module in tree.modules.values()
        if not within(module.name, "launchd.cli")
        for call in module.calls("print")
    ]


def asks_what_our_objects_are(tree: SourceTree) -> list[str]:
    """Nobody asks ``isinstance`` of a class of ours; a match, a Protocol or a capability answers instead."""
    return [
        f"{module.at(call)} asks for {name}"
        for module in tree.modules.values()
        for call in [*module.calls("isinstance"), *module.calls("issubclass")]
        for name in sorted(_names_in(call.args[1]) & tree.class_names)
    ]


def types_learnt_while_running(tree: SourceTree) -> list[str]:
    """``launchd`` has threads, and msgspec crashes where two learn a type at once: decoders are made on import."""
    return [
        f"{module.at(call)} decodes {name} without a decoder of the module"
        for module in tree.modules.values()
        if within(module.name, "launchd")
        for call in module.calls_of_method("decode")
        for given in call.keywords
        if given.arg == "type"
        for name in sorted(_names_in(given.value) & tree.class_names)
    ]


def _names_in(expression: ast.expr) -> set[str]:
    names = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(expression) if isinstance(node, ast.Attribute)}


def modules_without_docstring(tree: SourceTree) -> list[str]:
    """Every module says what it owns."""
    return [str(module.path) for module in tree.modules.values() if not ast.get_docstring(module.tree)]


#: Words of an earlier vocabulary, which stand for things that have a usual name: see docs/glossary.md.
FORMER_WORDS = frozenset(
    [
        "bell",
        "bury",
        "callers",
        "care",
        "charge",
        "desk",
        "feeds",
        "heard",
        "hire",
        "hired",
        "house",
        "intake",
        "keeper",
        "letter",
        "letters",
        "liaison",
        "mailbox",
        "news",
        "obey",
        "outlet",
        "reception",
        "staff",
        "takeover",
        "told",
        "trouble",
        "unattended",
        "wakeups",
        "whereabouts",
    ]
)
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")


def former_words_in_names(tree: SourceTree) -> list[str]:
    """Modules, classes and public functions are named by the words of the glossary."""
    return [
        f"{module.path}: {name}"
        for module in tree.modules.values()
        for name in (*module.name.split("."), *_public_names(module.tree))
        if FORMER_WORDS & {word.lower() for word in _WORD.findall(name)}
    ]


def _public_names(tree: ast.Module) -> Iterator[str]:
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return (node.name for node in ast.walk(tree) if isinstance(node, kinds) and not node.name.startswith("_"))


_PERSON = re.compile(
    r"(?<![\w|-])(we|our|ours|us|somebody|anybody|everybody|nobody|whoever|whatever)(?![\w-])", re.IGNORECASE
)


def persons_in_texts(tree: SourceTree) -> list[str]:
    """Comments, docstrings and messages are in the third person, and name the process or the person."""
    paths = [*(module.path for module in tree.modules.values()), *_own_scripts(tree)]
    return [
        f"{path}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate((tree.root / path).read_text().splitlines(), 1)
        if _PERSON.search(line)
    ]


def _own_scripts(tree: SourceTree) -> list[Path]:
    """The scripts of the web pages, without the library that they use."""
    web = tree.root / "launchd/server/web"
    return [path.relative_to(tree.root) for path in web.rglob("*.js") if path.parent.name != "vendor"]


def packaging_as_a_package(tree: SourceTree) -> list[str]:
    """``packaging`` is the name of a library, so our folder of that name holds no Python package."""
    return [str(path.relative_to(tree.root)) for path in (tree.root / "packaging").rglob("__init__.py")]


RULES = (
    leaf_violations,
    launchd_imports_workers,
    workers_import_launchd,
    runners_import_each_other,
    import_cycles,
    prints_outside_the_command_line,
    asks_what_our_objects_are,
    types_learnt_while_running,
    modules_without_docstring,
    former_words_in_names,
    persons_in_texts,
    packaging_as_a_package,
)
