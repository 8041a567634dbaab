"""Keys of a run spec that no agent obeys: most of the time they are misspelt, and nothing else says so."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ipc.own_args import LOCAL_PROCESS_KEYS
from ipc.run_spec import Overrides
from ipc.targets import LOCAL_PROCESS, QUEUE_TYPES, find_target
from launchd.api.errors import suggestion
from launchd.cli.terminal import echo


def warn_of_unheeded(spec: Mapping[str, Any]) -> None:
    """Print a warning for each key of ``spec`` that has no effect, in its overrides and its resource args."""
    for sentence in _unheeded(spec):
        echo(f"Warning: {sentence}", err=True)


def _unheeded(spec: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown("overrides", spec.get("overrides"), Overrides.__struct_fields__)
    args = spec.get("resource_args")
    if not isinstance(args, Mapping):
        return
    yield from _unknown("resource_args", [name for name in args if find_target(name) is None], QUEUE_TYPES)
    yield from _unknown(f"resource_args.{LOCAL_PROCESS}", args.get(LOCAL_PROCESS), LOCAL_PROCESS_KEYS)


def _unknown(place: str, given: object, known: Iterable[str]) -> Iterator[str]:
    keys = given if isinstance(given, Mapping | list) else ()
    for key in keys:
        if key not in known:
            yield f"{place}.{key} has no effect. {suggestion(key, known)}"
