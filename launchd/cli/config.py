"""`launchd config`: says whether a configuration can be used, what is in effect, and what may stand in one."""

import json
import os
from collections.abc import Iterator
from typing import Any

import click
import msgspec

from launchd.agent.failure_log import MASK, redact
from launchd.cli.errors import Misconfigured
from launchd.cli.masking import without_passwords
from launchd.cli.terminal import Line, Span, echo, echo_json
from launchd.client.credentials import find_api_key, find_base_url
from launchd.client.errors import QueueServerError
from launchd.config import ConfigError, Flags, LoadedConfig, Problem, check_job_users, load, usual_files
from launchd.config.diagnostics import DEFAULT
from launchd.config.effective import Setting, settings

EXAMPLES = """\b
Examples:
  launchd config check -c launch-config.yaml --service
  launchd config show --given
"""

file_option = click.option(
    "-c", "--config", "config_path", metavar="FILE", help="Configuration file [default: the one that an agent reads]."
)


class Unusable(Misconfigured):
    """The configuration cannot be used, and everything has been said."""

    def show(self, file: Any = None) -> None:
        """Print nothing."""


@click.group(epilog=EXAMPLES)
def config() -> None:
    """Check the configuration of this host's agent, and show what is in effect."""


@config.command()
@file_option
@click.option("--service", is_flag=True, help="Check it for the system service, whose agent is root.")
@click.option("--json", "as_json", is_flag=True, help="Print problems and warnings as JSON.")
def check(config_path: str | None, service: bool, as_json: bool) -> None:
    """Say whether an agent could use the configuration: every problem, with file, line, key and what is right.

    The exit code is 0 if it can be used, and 78 if it cannot. Users of jobs are checked for an agent of the user who
    asks.
    """
    try:
        loaded = load(config_path, os.environ, Flags())
    except ConfigError as error:
        _report(None, error.problems, (), as_json=as_json)
        raise Unusable(str(error)) from error
    problems, warnings = _users(loaded, 0 if service else os.geteuid())
    _report(loaded, problems, (*loaded.warnings, *warnings), as_json=as_json)
    if problems:
        raise Unusable("The users of jobs cannot be used.")


@config.command()
@file_option
@click.option("--given", is_flag=True, help="Leave out what is a default.")
@click.option("--json", "as_json", is_flag=True, help="Print the settings as JSON.")
def show(config_path: str | None, given: bool, as_json: bool) -> None:
    """Show every setting in effect, and where each comes from: a line of the file, a variable, or the default.

    Passwords and keys are masked.
    """
    try:
        loaded = load(config_path, os.environ, Flags(), queues_needed=False)
    except ConfigError as error:
        raise Misconfigured(without_passwords(str(error))) from error
    found = [one for one in _in_effect(loaded) if not given or one.origin != DEFAULT]
    if as_json:
        echo_json({one.name: {"value": one.value, "origin": one.origin} for one in found})
    else:
        echo(*_lines(found))


@config.command("schema")
def print_schema() -> None:
    """Print the JSON Schema of launch-config.yaml, for editors and other programs."""
    from launchd.config.json_schema import shipped  # noqa: PLC0415 - for this command alone

    echo_json(json.loads(shipped()))


def _users(loaded: LoadedConfig, agent: int) -> tuple[tuple[Problem, ...], tuple[str, ...]]:
    """Return problems and warnings about the users of jobs; ``agent`` is the number of the agent's user."""
    try:
        return (), check_job_users(loaded.config, agent)
    except ConfigError as error:
        file = str(loaded.path or "")
        return tuple(
            msgspec.structs.replace(one, location=loaded.given.get(one.name, file)) for one in error.problems
        ), ()


def _report(
    loaded: LoadedConfig | None, problems: tuple[Problem, ...], warnings: tuple[str, ...], *, as_json: bool
) -> None:
    if as_json:
        path = str(loaded.path) if loaded and loaded.path else None
        echo_json(
            {
                "file": path,
                "problems": [_as_json(one) for one in problems],
                "warnings": [*map(without_passwords, warnings)],
            }
        )
        return
    for problem in problems:
        echo([Span("error: ", "red"), Span(without_passwords(str(problem)))], err=True)
    for warning in warnings:
        echo([Span("warning: ", "yellow"), Span(without_passwords(warning))], err=True)
    if problems:
        echo(f"The configuration cannot be used: {_count(len(problems))}.", err=True)
    else:
        echo(f"The configuration{_of(loaded)} can be used.")


def _count(problems: int) -> str:
    return "1 problem" if problems == 1 else f"{problems} problems"


def _of(loaded: LoadedConfig | None) -> str:
    if loaded and loaded.path:
        return f" {loaded.path}"
    return f" without a file (there is none of {', '.join(map(str, usual_files(os.environ)))})"


def _as_json(problem: Problem) -> dict[str, Any]:
    file, _, line = problem.location.rpartition(":")
    is_line = line.isdigit() and bool(file)
    return {
        "location": problem.location or None,
        "file": file if is_line else None,
        "line": int(line) if is_line else None,
        "key": problem.name or None,
        "value": without_passwords(problem.what) or None,
        "why": problem.why,
        "hint": problem.hint or None,
    }


def _in_effect(loaded: LoadedConfig) -> Iterator[Setting]:
    """Yield the settings, and what is looked up elsewhere where the file is silent: the server's address, its key."""
    server = find_base_url({}, loaded.config.launchd.base_url)
    for one in settings(loaded):
        if one.name == "launchd.base_url" and one.value is None:
            one = Setting(one.name, server.url, server.origin)  # noqa: PLW2901 - the address that counts
        yield msgspec.structs.replace(one, value=_masked(one.value))
        if one.name == "launchd.api_key_file":
            yield _key(server.url, loaded)


def _key(server: str, loaded: LoadedConfig) -> Setting:
    """Return the API key as a setting of its own, which no file can have."""
    try:
        found = find_api_key(server, os.environ, loaded.config.launchd.api_key_file)
    except QueueServerError as error:
        return Setting("(API key)", None, without_passwords(str(error)))
    return Setting("(API key)", MASK, found.origin)


def _masked(value: Any) -> Any:
    """Return a value without the passwords in it: in addresses, and under names that are usual for secrets."""
    match value:
        case str():
            return redact(without_passwords(value), ())
        case list() | tuple():
            return [_masked(each) for each in value]
        case dict():
            return {key: MASK if _is_secret(str(key)) else _masked(each) for key, each in value.items()}
        case _:
            return value


def _is_secret(name: str) -> bool:
    named = f"{name}=x"
    return redact(named, ()) != named


def _lines(found: list[Setting]) -> Iterator[Line]:
    for one in found:
        origin = Span(f"  # {one.origin}", "bright_black")
        yield [Span(f"{one.name}: ", bold=True), Span(_text(one.value)), origin]


def _text(value: Any) -> str:
    match value:
        case str():
            return value
        case _:
            return msgspec.json.encode(value).decode()
