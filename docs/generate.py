"""Writes the generated parts of the documentation anew; with --check, only says which are out of date.

A part stands between ``<!-- generated: NAME -->`` and ``<!-- end -->``; NAME is a key of ``PARTS``.
"""

import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click

import launchd
from ipc.failpoints import FAILPOINTS
from ipc.states import mermaid_diagram
from ipc.targets import TARGETS
from launchd.agent.measures import METRICS as AGENT_METRICS
from launchd.cli import COMMANDS, manual
from launchd.cli import main as command_line
from launchd.config.json_schema import FILE_NAME, document
from launchd.metrics.model import Metric
from launchd.server.measures import METRICS as SERVER_METRICS

DOCS = Path(__file__).parent
MANUAL = DOCS.parent / "packaging" / "man"
#: Of the help of a command, in characters, whatever the terminal.
WIDTH = 100
MARKED = re.compile(r"(<!-- generated: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)

#: A row of a table of keys of the configuration.
KEY_ROW = re.compile(r"^\| (?P<keys>`[a-z][^|]*) \| [^|]+ \| (?P<meaning>[^|]+) \|$", re.MULTILINE)


def states() -> str:
    """Return the states of a job as a Mermaid diagram."""
    return f"```mermaid\n{mermaid_diagram()}```\n"


def failpoints() -> str:
    """Return the failpoints as a table."""
    rows = (f"| `{name}` | {meaning} |" for name, meaning in FAILPOINTS.items())
    return "\n".join(["| Failpoint | The moment when |", "|---|---|", *rows, ""])


def targets() -> str:
    """Return the kinds of target as a table."""
    rows = (
        f"| {' or '.join(f'`{word}`' for word in reversed(target.words))} | {'yes' if target.runner else 'not yet'} "
        f"| {', '.join(f'`{name}`' for name in target.builders)} | {f'`{target.extra}`' if target.extra else ''} |"
        for target in TARGETS.values()
        if target.offered
    )
    return "\n".join(["| Resource | Run by this agent | Builders | Extra |", "|---|---|---|---|", *rows, ""])


def commands() -> str:
    """Return the help of every command of the command line."""
    pages = (f"## `{path}`\n\n```text\n{text.rstrip()}\n```\n" for path, text in help_pages(command_line, "launchd"))
    return "\n".join(pages)


def help_pages(command: click.Command, path: str, above: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """Yield the path and help of ``command`` and of everything below it that is not hidden."""
    settings = command.context_settings | {"terminal_width": WIDTH}
    context = click.Context(command, info_name=path.rpartition(" ")[2], parent=above, **settings)
    yield path, command.get_help(context)
    for name, below in below_of(command, context):
        yield from help_pages(below, f"{path} {name}", context)


def below_of(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield the commands of a group by name; a command that is no group has none."""
    if not isinstance(command, click.Group):
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        if below is not None and not below.hidden:
            yield name, below


def python() -> str:
    """Return signature and description of every name that programs import."""
    return "\n".join(
        f"### `{title}`\n\n```text\n{text}\n```\n"
        for name in launchd.__all__
        for title, text in descriptions(name, getattr(launchd, name))
    )


def descriptions(name: str, thing: object) -> Iterator[tuple[str, str]]:
    """Yield what a name stands for, as a title and a text; for a class also its methods."""
    yield name, described(name, thing)
    if inspect.isclass(thing) and not issubclass(thing, Exception):
        own = (one for one in dir(thing) if not one.startswith("_") and inspect.isroutine(getattr(thing, one)))
        for method in own:
            yield f"{name}.{method}", described(method, getattr(thing, method))


def described(name: str, thing: object) -> str:
    """Return the signature, if it has one, and the description."""
    description = "\n\n".join(part for part in (inspect.getdoc(thing), properties(thing)) if part)
    if inspect.isclass(thing) and issubclass(thing, Exception):
        return description
    signature = inspect.signature(thing)  # type: ignore[arg-type]
    plain = [
        one.replace(annotation=one.empty) for one in signature.parameters.values() if one.name not in ("self", "cls")
    ]
    shown = str(signature.replace(parameters=plain, return_annotation=signature.empty))
    return "\n".join(textwrap.wrap(f"{name}{shown}", WIDTH, subsequent_indent="    ")) + f"\n\n{description}"


def properties(thing: object) -> str:
    """Return the properties of a class, each with the first line of its description."""
    found = {name: inspect.getattr_static(thing, name) for name in dir(thing) if inspect.isclass(thing)}
    lines = [f"    {name}: {inspect.getdoc(one)}" for name, one in found.items() if isinstance(one, property)]
    return "\n".join(["Properties:", *(line.partition("\n")[0] for line in lines)]) if lines else ""


def metrics_of(metrics: Sequence[Metric]) -> Callable[[], str]:
    """Return what makes a table of ``metrics``."""

    def table() -> str:
        rows = (
            f"| `{one.name}` | {one.kind} | {', '.join(f'`{label}`' for label in one.labels)} | {one.help} |"
            for one in metrics
        )
        return "\n".join(["| Metric | Type | Labels | Meaning |", "|---|---|---|---|", *rows, ""])

    return table


PARTS: dict[str, Callable[[], str]] = {
    "states": states,
    "failpoints": failpoints,
    "targets": targets,
    "commands": commands,
    "python": python,
    "agent-metrics": metrics_of(AGENT_METRICS),
    "server-metrics": metrics_of(SERVER_METRICS),
}


def regenerated(text: str) -> str:
    """Return ``text`` with its generated parts as they should be."""
    return MARKED.sub(lambda match: match[1] + PARTS[match["name"]]() + match[3], text)


def config_schema() -> str:
    """Return the JSON Schema of the configuration, with the meanings from its page."""
    return json.dumps(document(meanings((DOCS / "configuration.md").read_text())), indent=1) + "\n"


def meanings(page: str) -> dict[str, str]:
    """Return what the tables of keys say of each, as plain text."""
    found = {}
    for row in KEY_ROW.finditer(page):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)|[`*]", r"\1", row["meaning"])
        found.update(dict.fromkeys(re.findall(r"`([^`]+)`", row["keys"]), plain))
    return found


def generated() -> Iterator[tuple[Path, str]]:
    """Yield every file with generated parts, and what should be in it."""
    for path in sorted(DOCS.rglob("*.md")):
        yield path, regenerated(path.read_text())
    yield DOCS.parent / "launchd" / "config" / FILE_NAME, config_schema()
    for name, page in manual.pages(command_line, {name: summary for name, (_, summary) in COMMANDS.items()}):
        yield MANUAL / name, page


def main(arguments: list[str]) -> int:
    """Write what has changed, or with ``--check`` return 1 if anything has."""
    changed = False
    for path, after in generated():
        if not path.exists() or path.read_text() != after:
            changed = True
            print(path.relative_to(DOCS.parent), "is out of date" if "--check" in arguments else "written")
            if "--check" not in arguments:
                path.parent.mkdir(exist_ok=True)
                path.write_text(after)
    for path in sorted({*MANUAL.glob("*.1")} - {path for path, _ in generated()}):
        changed = True
        print(path.relative_to(DOCS.parent), "is of no command" if "--check" in arguments else "removed")
        if "--check" not in arguments:
            path.unlink()
    return int(changed and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
