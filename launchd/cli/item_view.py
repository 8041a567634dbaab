"""What is shown of an item of the queue server: which job, where, since when, how it ended. Pure functions."""

import json
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from launchd.agent.failure_log import redact
from launchd.cli.terminal import Line, Span
from launchd.client.queue_server import Agent, Item
from launchd.humanize import format_age, format_moment, one_line

COLOURS = {
    "FINISHED": "green",
    "FAILED": "red",
    "STOPPED": "yellow",
    "PREEMPTED": "yellow",
    "CLAIMED": "green",
}

_LABEL_WIDTH = 10

#: What to do next, by the state of an item.
_NEXT = {
    "PENDING": ("launchd why {id}", "launchd stop {id}"),
    "LEASED": ("launchd logs -f {id}", "launchd stop {id}"),
    "CLAIMED": ("launchd logs -f {id}", "launchd stop {id}"),
    "FAILED": ("launchd logs {id}", "launchd why {id}", "launchd retry {id}"),
    "STOPPED": ("launchd logs {id}", "launchd retry {id}"),
    "PREEMPTED": ("launchd logs {id}", "launchd retry {id}"),
    "FINISHED": ("launchd logs {id}",),
}


def command_of(spec: Mapping[str, Any] | None) -> str:
    """Return what an item runs, in one line: its command, or else its source."""
    spec = spec or {}
    overrides = _mapping(spec.get("overrides"))
    words = [*_words(overrides.get("entry_point")), *_words(overrides.get("args"))]
    source = (
        spec.get("job") or _mapping(spec.get("git")).get("repo") or _mapping(spec.get("docker")).get("docker_image")
    )
    return one_line(shlex.join(words) if words else str(source or spec.get("uri") or "-"))


def _mapping(given: Any) -> dict[str, Any]:
    """Return an object of JSON; an empty one where the submitter sent another value."""
    match given:
        case dict():
            return given
        case _:
            return {}


def _words(given: Any) -> list[str]:
    match given:
        case list():
            return [str(word) for word in given]
        case _:
            return []


def name_of(spec: Mapping[str, Any] | None) -> str:
    """Return an item's name, else what it runs, behind its project."""
    spec = spec or {}
    what = one_line(str(spec.get("name") or "")) or command_of(spec)
    return f"{spec.get('project') or '-'}: {what}"


def author_of(spec: Mapping[str, Any] | None) -> str:
    """Return in whose name an item was pushed."""
    return str((spec or {}).get("author") or "-")


def item_lines(item: Item, agent: Agent | None, reasons: Sequence[str], page: str | None) -> list[Line]:
    """Return everything of an item.

    ``agent`` is the one that has or had it, ``reasons`` why it is where it is, ``page`` the address of its page.
    """
    spec = item.run_spec or {}
    return [
        [Span(f"Item {item.id}", bold=True), Span("  "), Span(item.state.lower(), COLOURS.get(item.state))],
        *labelled(**_about(item, spec), host=_host(agent), phase=item.phase, **_course(item), page=page),
        *_many("warning", [f"{warning.stage}: {warning.message}" for warning in item.warnings]),
        *_many("why", reasons),
        *_many("next", [command.format(id=item.id) for command in _NEXT.get(item.state, ())]),
        "",
        "Its run spec, with the arguments of its queue, secrets masked:",
        *redact(json.dumps(masked(spec), indent=2), ()).split("\n"),
    ]


def _about(item: Item, spec: Mapping[str, Any]) -> dict[str, str | None]:
    """Return what an item runs, for whom, and with what."""
    return {
        "name": str(spec.get("name") or ""),
        "runs": command_of(spec),
        "project": f"{spec.get('entity') or item.entity_name or '-'}/{spec.get('project') or '-'}",
        "run": item.associated_run_id,
        "author": author_of(spec),
        "queue": f"{item.queue_name or '-'} of {item.entity_name or '-'}",
        "resource": str(spec.get("resource") or ""),
        "gpus": item.gpus,
    }


def _course(item: Item) -> dict[str, str | None]:
    """Return what became of an item when."""
    return {
        "pushed": format_moment(item.created_at),
        "leased": _since(item.leased_at, item.created_at, "after a wait of"),
        "started": _since(item.started_at, item.leased_at, "prepared in"),
        "ended": _since(item.finished_at, item.started_at, "ran for"),
        "exit": None if item.exit_code is None else str(item.exit_code),
        "stage": item.stage,
        "outcome" if item.finished_at is not None else "doing": item.message,
        "stop": item.stop_reason if item.stop_requested else None,
    }


def labelled(**values: str | None) -> list[Line]:
    """Return a line for each value that there is, behind its name."""
    return [line for label, value in values.items() if value and value != "-" for line in _many(label, [value])]


def _many(label: str, texts: Sequence[str]) -> list[Line]:
    return [
        [Span((label if number == 0 else "").ljust(_LABEL_WIDTH), "bright_black"), Span(one_line(text))]
        for number, text in enumerate(texts)
    ]


def _host(agent: Agent | None) -> str | None:
    if agent is None:
        return None
    heard = agent.seconds_since_heartbeat
    return f"{agent.hostname or '-'} (agent {agent.name}, heard {format_age(heard)} ago)"


def _since(moment: datetime | None, before: datetime | None, words: str) -> str | None:
    if moment is None:
        return None
    return format_moment(moment) + (f" ({words} {format_age((moment - before).total_seconds())})" if before else "")


def masked(value: Any) -> Any:
    """Return a value of JSON in which all values below names of secrets are masked."""
    match value:
        case dict():
            return {key: _masked_entry(key, each) for key, each in value.items()}
        case list():
            return [masked(each) for each in value]
        case _:
            return value


def _masked_entry(key: str, value: Any) -> Any:
    name = key.lower()
    is_secret = any(word in name for word in ("key", "token", "secret", "password", "passwd", "credential"))
    return "***" if is_secret and not isinstance(value, dict | list) and value else masked(value)


def as_json(item: Item) -> dict[str, Any]:
    """Return an item for `--json`: times in ISO 8601 with their zone, secrets masked."""
    values = {name: getattr(item, name) for name in item.__struct_fields__}
    values["run_spec"] = masked(item.run_spec)
    values["warnings"] = [{"stage": one.stage, "message": one.message} for one in item.warnings]
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat()
        case tuple():
            return list(value)
        case _:
            return value
