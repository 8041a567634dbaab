"""The normal form in which run specs are stored, and how a queue's configuration is merged into a spec.

Merge rule: the submitter's `resource_args` lie over the queue's. Objects are merged key by key, at every depth, and
the submitter's value wins; any other value (a list, a number, a string, null) is replaced whole. Placeholders are
filled in only in the queue's part, before the merge.
"""

import json
from collections.abc import Mapping
from typing import Any

from ipc.run_spec import SCHEDULER_URI
from ipc.targets import QUEUE_TYPES, find_target
from launchd.config.diagnostics import nearest_name
from launchd.server.errors import Refused
from launchd.server.launch import spec_checks
from launchd.server.launch.templates import fill_in
from launchd.server.models import ResourceConfig
from launchd.server.store.launch.states import HIGHEST_PRIORITY, LOWEST_PRIORITY


def normalise(
    spec: Mapping[str, Any], config: ResourceConfig | None, template_values: Mapping[str, Any]
) -> dict[str, Any]:
    """The spec as it is stored: null `overrides` and `resource_args` become {}, and what the queue sets is filled in.

    `template_values` take precedence over the spec's own `template_variables`, which W&B's client fills from the same
    source. All of them stay in the spec, so that an agent can queue it again (a preempted run) without knowing them.

    Raises:
        Refused: a part has the wrong type, a template variable a wrong value, or something stands in the way of what
            follows (see `spec_checks`).
    """
    try:
        filled = _filled(spec, config, template_values)
        spec_checks.check(filled)
        return filled
    except RecursionError as error:
        raise Refused("The run spec, or the queue's configuration, is nested too deeply.") from error


def _filled(
    spec: Mapping[str, Any], config: ResourceConfig | None, template_values: Mapping[str, Any]
) -> dict[str, Any]:
    filled = dict(spec)
    values = {**_object(filled.pop("template_variables", None), "template_variables"), **template_values}
    if values:
        filled["template_variables"] = values
    for key in ("overrides", "resource_args"):
        filled[key] = _object(filled.get(key), key)
    resource = filled.get("resource") or (config.resource if config else None)
    if not isinstance(resource, str | None):
        raise Refused(f"resource in the run spec must be text, not {json.dumps(resource)[:60]}.")
    filled["resource"] = resource
    below, variables = (config.config, config.template_variables) if config else ({}, {})
    queue_args = _object(fill_in(below, variables, values).get("resource_args"), "resource_args of the queue")
    filled["resource_args"] = merge(queue_args, filled["resource_args"])
    return filled


def check_resource(resource: str) -> None:
    """Check the resource that a queue is given. Which resources a host grants is that host's own policy.

    Raises:
        Refused: it is unknown; the message names the nearest one, and all.
    """
    if find_target(resource) is not None:
        return
    meant = nearest_name(resource[:80], QUEUE_TYPES)
    hint = f"Did you mean {meant!r}? " if meant else ""
    raise Refused(f"There is no resource {resource[:80]!r}. {hint}Known are: {', '.join(QUEUE_TYPES)}.")


def check_config(config: Mapping[str, Any]) -> None:
    """Check the configuration of a queue.

    Raises:
        Refused: `resource_args`, or those of one resource, are not an object.
    """
    args = config.get("resource_args")
    if not isinstance(args, dict | None):
        raise Refused(f"resource_args of a queue must be an object by resource, not {json.dumps(args)[:60]}.")
    for resource, inner in (args or {}).items():
        if not isinstance(inner, dict | None):
            raise Refused(f"resource_args.{resource[:80]} of a queue must be an object, not {json.dumps(inner)[:60]}.")


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` merged over `below`; see the rule at the top."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, dict) and isinstance(value, dict)
        merged[key] = merge(under, value) if both else value  # type: ignore[arg-type]
    return merged


def is_scheduler(spec: Mapping[str, Any]) -> bool:
    """Whether the item runs the scheduler of a sweep."""
    return str(spec.get("uri") or "").startswith(SCHEDULER_URI)


def check_priority(priority: int | None, *, by_priority: bool, default: int) -> int:
    """Raises:
    Refused: out of range, or not the default in a queue without priorities (as W&B's backend does).
    """
    if priority is None or priority == default:
        return default
    if not by_priority:
        raise Refused(f"This queue has no priorities, so {priority} cannot be given; create it with prioritization V0.")
    if not HIGHEST_PRIORITY <= priority <= LOWEST_PRIORITY:
        raise Refused(f"Priority {priority} is out of range: 0 (critical), 1 (high), 2 (medium), 3 (low).")
    return priority


def _object(value: object, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(f"{what} in the run spec must be an object, not {json.dumps(value)[:60]}.")
    return value
