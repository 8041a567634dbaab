"""Every command that prints a table prints the same as JSON, with `--json`."""

import ast
import functools
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click
import pytest

from launchd.cli import main
from tests.support.server import fresh_name
from tests.unit.cli.conftest import Launchd

CLI = Path(__file__).parents[3] / "launchd" / "cli"
ROOM = "launchd.cli."

#: A function of the command line: its module and its name.
Function = tuple[str, str]


def commands_below(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        if below is not None:
            yield from commands_below(below, (*path, name))


@functools.cache
def functions_of(module: str) -> dict[str, set[Function]]:
    """The functions of a module, each with those of the command line that it names."""
    tree = ast.parse((CLI / f"{module}.py").read_text())
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    known = {
        name.name: (str(node.module).removeprefix(ROOM), name.name)
        for node in imports
        if str(node.module).startswith(ROOM)
        for name in node.names
    }
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    known |= {function.name: (module, function.name) for function in functions}
    return {function.name: {known[name] for name in names_in(function) if name in known} for function in functions}


def names_in(function: ast.FunctionDef) -> set[str]:
    """The names in what a function does; its decorators name the group that it belongs to."""
    return {node.id for part in function.body for node in ast.walk(part) if isinstance(node, ast.Name)}


def prints_a_table(module: str, name: str, seen: frozenset[Function] = frozenset()) -> bool:
    if (module, name) == ("tables", "table"):
        return True
    if (module, name) in seen or not (CLI / f"{module}.py").is_file():
        return False
    called = functions_of(module).get(name, set())
    return any(prints_a_table(*each, seen | {(module, name)}) for each in called)


def test_what_prints_a_table_has_json() -> None:
    found = dict(commands_below(main, ()))
    listing = [path for path, command in found.items() if prints_a_table(*place_of(command))]
    assert {("runs",), ("queue", "list"), ("status",), ("history",), ("clean",)} <= set(listing), "the walk finds them"

    lacking = [path for path in listing if not any("--json" in option.opts for option in found[path].params)]

    assert lacking == []


def place_of(command: click.Command) -> Function:
    callback = getattr(command.callback, "__wrapped__", command.callback)
    return str(callback.__module__).removeprefix(ROOM), str(callback.__name__)


@pytest.mark.parametrize(
    "words",
    [
        "queue list",
        "agents",
        "runs",
        "job list",
        "key list",
        "key log",
        "user list",
        "team list",
        "team show TEAM",
        "service-account list TEAM",
        "retention",
    ],
)
def test_a_list_is_json_also_where_it_is_empty(at_server: Launchd, words: str) -> None:
    team = fresh_name("team")
    at_server("team", "create", team)

    answer = at_server(*words.replace("TEAM", team).split(), "--json")

    assert (answer.exit_code, answer.stderr) == (0, "")
    assert times_without_zone(json.loads(answer.stdout)) == []


def times_without_zone(value: object, name: str = "") -> list[str]:
    match value:
        case dict():
            return [time for key, each in value.items() for time in times_without_zone(each, str(key))]
        case list():
            return [time for each in value for time in times_without_zone(each, name)]
        case str() if name.lower().endswith("at") and "T" in value:
            return [] if datetime.fromisoformat(value).tzinfo else [value]
        case _:
            return []
