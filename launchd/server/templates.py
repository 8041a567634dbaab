"""Template variables of a queue: `{{name}}` in its configuration, filled in at push. Owns the checks of values."""

import re
from collections.abc import Mapping
from typing import Any

from launchd.server.errors import Refused

_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][\w.-]*)\s*\}\}")
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float)}


def fill_in(config: Mapping[str, Any], variables: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with every placeholder replaced by its value, or its default.

    A string that is nothing but one placeholder becomes the value itself, with its type.

    Raises:
        Refused: an unknown variable, one without value and default, or a value outside its schema.
    """
    unknown = sorted(set(values) - set(variables))
    if unknown:
        known = ", ".join(sorted(variables)) or "none"
        raise Refused(f"The queue has no template variable {unknown[0]!r}; it has: {known}.")
    chosen = {name: _value(name, _schema(declared), values) for name, declared in variables.items()}
    return {key: _replace(value, chosen) for key, value in config.items()}


def _schema(declared: object) -> Mapping[str, Any]:
    schema = declared.get("schema") if isinstance(declared, dict) else None
    return schema if isinstance(schema, dict) else {}


def _value(name: str, schema: Mapping[str, Any], values: Mapping[str, Any]) -> Any:
    value = values.get(name, schema.get("default"))
    if value is None:
        raise Refused(f"Template variable {name!r} has no default and was given no value.")
    wanted = _TYPES.get(schema.get("type", ""))
    if wanted and (not isinstance(value, wanted) or isinstance(value, bool)):
        raise Refused(f"Template variable {name!r} must be of type {schema['type']}, not {value!r}.")
    _check_range(name, schema, value)
    return value


def _check_range(name: str, schema: Mapping[str, Any], value: Any) -> None:
    if "enum" in schema and value not in schema["enum"]:
        raise Refused(f"Template variable {name!r} must be one of {schema['enum']}, not {value!r}.")
    if "minimum" in schema and value < schema["minimum"]:
        raise Refused(f"Template variable {name!r} must be at least {schema['minimum']}, not {value!r}.")
    if "maximum" in schema and value > schema["maximum"]:
        raise Refused(f"Template variable {name!r} must be at most {schema['maximum']}, not {value!r}.")


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
