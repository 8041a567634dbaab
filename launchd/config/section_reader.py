"""Reading one section of the configuration: its keys by their table, its values by their validators.

Every problem goes into the diagnostics; a value that cannot be used leaves its default in place, so that the rest is
checked too.
"""

from collections.abc import Mapping
from typing import Any

from launchd.config.diagnostics import DEFAULT, Diagnostics, nearest_name
from launchd.config.keys import BUILDER, ENVIRONMENT, LAUNCHD, REGISTRY, SECTIONS, Table
from launchd.config.validators import Validator, either

#: W&B's sections, whose keys are often written without the spaces before them.
_INDENTED = {"builder": BUILDER, "registry": REGISTRY, "environment": ENVIRONMENT}


def fill(
    diagnostics: Diagnostics, prefix: str, section: Any, table: Table, sections: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the usable values of `section` by field name; `sections` are keys that the caller reads itself."""
    given = mapping(diagnostics, prefix.rstrip("."), section)
    for key in given:
        if key not in table and key not in sections:
            _refuse_key(diagnostics, prefix, str(key), [*table, *sections])
    values = {}
    for key, validator in table.items():
        name, value = f"{prefix}{key}", given.get(key)
        if value is None:
            diagnostics.origins[name] = DEFAULT
        elif validator is None:
            diagnostics.warn(name, "this key has no effect, and has none in W&B's agent.")
        else:
            values.update(_converted(diagnostics, name, value, validator))
    return values


def mapping(diagnostics: Diagnostics, name: str, section: Any) -> Mapping[Any, Any]:
    """Return the section itself, or an empty one where it is missing or no mapping."""
    if section is None:
        return {}
    if not isinstance(section, dict):
        diagnostics.refuse(name, section, "must be a mapping")
        return {}
    return section


def _converted(diagnostics: Diagnostics, name: str, value: Any, validator: Validator[Any]) -> dict[str, Any]:
    """Return the value by its field's name; an empty dict where it cannot be used."""
    try:
        field = {name.rpartition(".")[2].replace("-", "_"): validator(value)}
    except ValueError as error:
        diagnostics.refuse(name, value, str(error))
        return {}
    diagnostics.accept(name)
    return field


def _refuse_key(diagnostics: Diagnostics, prefix: str, key: str, known: list[str]) -> None:
    hint = _hint_of_place(key) if not prefix else None
    if hint is None:
        hint = _hint_of_spelling(key, known)
    diagnostics.refuse(f"{prefix}{key}", None, "there is no such key", hint)


def _hint_of_place(key: str) -> str | None:
    """Return below what a key stands that is written as one of the whole file."""
    plain = key.replace("-", "_").lower()
    if plain in (*LAUNCHD, *SECTIONS):
        return f"It stands below launchd: launchd.{plain}."
    sections = [name for name, table in _INDENTED.items() if key in table]
    return f"It stands below {either(tuple(sections))}, with spaces before it." if sections else None


def _hint_of_spelling(key: str, known: list[str]) -> str:
    before, colon, _ = key.partition(":")
    if colon and before in known:
        return f"YAML wants a space after the colon: write {before}: and a space."
    meant = nearest_name(key, known)
    return f"Did you mean {meant}?" if meant else f"Known here: {', '.join(known)}."
