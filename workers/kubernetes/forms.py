"""What has the wrong form in a manifest that people wrote, as a sentence with its place. Pure."""

from collections.abc import Mapping
from typing import Any

from ipc.errors import InvalidSpec

#: Where manifests stand that have no other name.
ARGUMENTS = "resource_args.kubernetes"
SERVICES = "additional_services"


def object_in(parent: Mapping[str, Any], key: str, where: str = ARGUMENTS) -> dict[str, Any]:
    """Return an object below ``parent``, an empty one for none; raises :class:`InvalidSpec`."""
    value = parent.get(key)
    if value is None:
        return {}
    if type(value) is not dict:
        raise InvalidSpec(f"{key} in {where} must be an object.")
    return value


def list_in(parent: Mapping[str, Any], key: str, where: str = ARGUMENTS) -> list[Any]:
    """Return a list below ``parent``, an empty one for none; raises :class:`InvalidSpec`."""
    value = parent.get(key)
    if not value:
        return []
    if type(value) is not list:
        raise InvalidSpec(f"{key} in {where} must be a list.")
    return value


def objects_in(parent: Mapping[str, Any], key: str, where: str = ARGUMENTS) -> list[dict[str, Any]]:
    """Return a list of objects below ``parent``, an empty one for none; raises :class:`InvalidSpec`."""
    value = parent.get(key)
    if not value:
        return []
    if type(value) is not list or not all(type(one) is dict for one in value):
        raise InvalidSpec(f"{key} in {where} must be a list of objects.")
    return value


def text_in(parent: Mapping[str, Any], key: str, where: str = ARGUMENTS) -> str | None:
    """Return a text below ``parent``, None for none and for an empty one; raises :class:`InvalidSpec`."""
    value = parent.get(key)
    if value is None or value == "":
        return None
    if type(value) is not str:
        raise InvalidSpec(f"{key} in {where} must be text.")
    return value
