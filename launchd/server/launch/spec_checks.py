"""What a run spec must be, so that the item can be acknowledged, run and reported later: checked when it is pushed.

An item that passes here and fails there would be leased again and again, before all others. Each refusal names the
key.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from launchd.server.errors import Refused
from launchd.server.store.accounts.principals import check_name

_NAMED = {"entity": "entity", "project": "project", "run_id": "run"}
"""Keys whose values become names in the store, with what they name."""

_LONGEST = {
    "name": 1024,
    "resource": 128,
    "queue": 128,
    "queue_name": 128,
    "queue_entity": 128,
    "project_queue": 128,
    "sweep_id": 128,
    "image_uri": 1024,
    "docker.docker_image": 1024,
    "job": 4096,
    "uri": 4096,
}
"""Keys with one line of text, and the most characters of it."""

_LONGEST_KEY = 60


def check(spec: Mapping[str, Any]) -> None:
    """Check a run spec in the form in which it is stored.

    Raises:
        Refused: naming the key, and what is wrong with its value.
        RecursionError: it is nested too deeply.
    """
    check_characters(spec)
    for key, kind in _NAMED.items():
        name = _text_at(spec, key)
        if name:
            _check_name(key, kind, name)
    for key, longest in _LONGEST.items():
        _check_line(key, _text_at(spec, key), longest)


def check_characters(spec: Mapping[str, Any]) -> None:
    """Check that every text in a run spec can be kept and handed on.

    Raises:
        Refused: naming the key.
        RecursionError: it is nested too deeply.
    """
    for path, text in _texts(spec, ""):
        _check_characters(path, text)


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every text in the value, keys too, with its path as people write it: `overrides.args[2]`."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _texts(inner, f"{path}[{place}]")
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield f"a key of {path}" if path else "a key", key
            yield from _texts(inner, f"{path}.{key}" if path else key)


def _check_characters(path: str, text: str) -> None:
    if "\0" in text:
        raise Refused(f"{_shown(path)} in the run spec has a NUL character, which no process and no store can hold.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Refused(
            f"{_shown(path)} in the run spec is not Unicode: it has half of a surrogate pair at {error.start}."
        ) from error


def _shown(path: str) -> str:
    plain = path.encode(errors="backslashreplace").decode().replace("\0", "\\0")
    return plain if len(plain) <= 2 * _LONGEST_KEY else f"{plain[:_LONGEST_KEY]}...{plain[-_LONGEST_KEY:]}"


def _text_at(spec: Mapping[str, Any], path: str) -> str | None:
    value: Any = spec
    for key in path.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if value is not None and not isinstance(value, str):
        raise Refused(f"{path} in the run spec must be text, not {str(value)[:60]}.")
    return value


def _check_name(key: str, kind: str, name: str) -> None:
    try:
        check_name(kind, name)
    except Refused as error:
        raise Refused(f"{key} in the run spec: {error}.") from error


def _check_line(key: str, text: str | None, longest: int) -> None:
    if text is None:
        return
    if len(text) > longest:
        raise Refused(f"{key} in the run spec has {len(text)} characters; at most {longest} are taken.")
    if not text.isprintable():
        raise Refused(f"{key} in the run spec has a line break or a control character: {text[:60]!r}.")
