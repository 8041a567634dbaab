"""Template variables of a queue: `{{name}}` in its configuration, filled in when an item is pushed.

A variable is declared as `{name: {"schema": {...}}}`, with `type` (string, number, integer), `default`, `minimum`,
`maximum` and `enum`, as W&B has them. Only values are filled in, not the keys of objects.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from launchd.server.errors import Refused

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")
_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float)}


def check_declarations(variables: Mapping[str, Any]) -> None:
    """Check the variables of a new configuration.

    Raises:
        Refused: a name that no placeholder can have, or a schema that no value or not even its own default satisfies.
    """
    for name, declared in variables.items():
        if not _NAME.fullmatch(name):
            raise Refused(f"{name[:80]!r} is no name for a template variable: letters, digits and _.-, no digit first.")
        if not isinstance(declared, dict) or not isinstance(declared.get("schema"), dict):
            raise Refused(f"Template variable {name!r} must be declared as an object with the key 'schema'.")
        _check_schema(name, _schema(declared))


def undeclared(config: object, variables: Mapping[str, Any]) -> list[str]:
    """A warning for each placeholder without a variable."""
    names = sorted(set(_placeholders(config)) - set(variables))
    return [f"{{{{{name}}}}} is no template variable of this queue; it stays in the configuration." for name in names]


def fill_in(config: Mapping[str, Any], variables: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with every placeholder replaced by its value, or its default.

    A string that consists of one placeholder becomes the value itself, with its type.

    Raises:
        Refused: an unknown variable, one without value and default, or a value that violates its schema.
    """
    unknown = sorted(set(values) - set(variables))
    if unknown:
        known = ", ".join(sorted(variables)) or "none"
        raise Refused(f"The queue has no template variable {unknown[0]!r}; it has: {known}.")
    chosen = {name: _value(name, _schema(declared), values) for name, declared in variables.items()}
    return {key: _replace(value, chosen) for key, value in config.items()}


def _schema(declared: object) -> Mapping[str, Any]:
    schema = declared.get("schema") if isinstance(declared, dict) else None
    # W&B's clients send null for a missing key.
    return {key: value for key, value in schema.items() if value is not None} if isinstance(schema, dict) else {}


def _check_schema(name: str, schema: Mapping[str, Any]) -> None:
    kind = schema.get("type")
    if kind is not None and (not isinstance(kind, str) or kind not in _TYPES):
        raise Refused(f"Template variable {name!r} cannot be of type {kind!r}; there are: {', '.join(_TYPES)}.")
    _check_enum(name, schema)
    _check_bounds(name, schema)
    if "default" in schema:
        _check_value(name, schema, schema["default"])


def _check_enum(name: str, schema: Mapping[str, Any]) -> None:
    allowed = schema.get("enum")
    if allowed is None:
        return
    if not isinstance(allowed, list) or not allowed:
        raise Refused(f"The enum of template variable {name!r} must be a list that is not empty, not {allowed!r}.")
    for value in allowed:
        _check_type(name, schema, value)


def _check_bounds(name: str, schema: Mapping[str, Any]) -> None:
    bounds = {limit: schema[limit] for limit in ("minimum", "maximum") if limit in schema}
    for limit, bound in bounds.items():
        if not _is_of(bound, "number") or schema.get("type") not in ("integer", "number"):
            raise Refused(f"The {limit} of template variable {name!r} must be a number, as its type must be.")
    if len(bounds) == 2 and bounds["minimum"] > bounds["maximum"]:
        raise Refused(f"No value of template variable {name!r} can be at least its minimum and at most its maximum.")


def _value(name: str, schema: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    value = values.get(name, schema.get("default"))
    if value is None:
        raise Refused(f"Template variable {name!r} has no default and was given no value.")
    _check_value(name, schema, value)
    return int(value) if schema.get("type") == "integer" else value


def _check_value(name: str, schema: Mapping[str, Any], value: Any) -> None:
    _check_type(name, schema, value)
    if "enum" in schema and value not in schema["enum"]:
        raise Refused(f"Template variable {name!r} must be one of {schema['enum']}, not {value!r}.")
    if "minimum" in schema and value < schema["minimum"]:
        raise Refused(f"Template variable {name!r} must be at least {schema['minimum']}, not {value!r}.")
    if "maximum" in schema and value > schema["maximum"]:
        raise Refused(f"Template variable {name!r} must be at most {schema['maximum']}, not {value!r}.")


def _check_type(name: str, schema: Mapping[str, Any], value: Any) -> None:
    kind = schema.get("type")
    if kind is not None and not _is_of(value, kind):
        raise Refused(f"Template variable {name!r} must be of type {kind}, not {value!r}.")


def _is_of(value: Any, kind: str) -> bool:
    # JSON has one kind of number: 4.0 is an integer.
    whole = kind == "integer" and isinstance(value, float) and value.is_integer()
    return whole or (isinstance(value, _TYPES[kind]) and not isinstance(value, bool))


def _replace(value: Any, chosen: Mapping[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _replace(inner, chosen) for key, inner in value.items()}
    if isinstance(value, list):
        return [_replace(inner, chosen) for inner in value]
    if isinstance(value, str):
        return _replace_text(value, chosen)
    return value


def _replace_text(text: str, chosen: Mapping[str, Any]) -> Any:
    whole = _PLACEHOLDER.fullmatch(text)
    if whole:
        return chosen.get(whole[1], text)
    return _PLACEHOLDER.sub(lambda found: str(chosen.get(found[1], found[0])), text)


def _placeholders(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _placeholders(inner)
    elif isinstance(value, str):
        yield from _PLACEHOLDER.findall(value)
