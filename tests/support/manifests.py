"""The manifests of `packaging/kubernetes`, as `kubectl apply --kustomize` sends them."""

from pathlib import Path
from typing import Any

import yaml

DIRECTORY = Path(__file__).parents[2] / "packaging" / "kubernetes"

Manifest = dict[str, Any]


def kustomization() -> Manifest:
    """Return the kustomization."""
    found: Manifest = yaml.safe_load((DIRECTORY / "kustomization.yaml").read_text())
    return found


def of_directory(name: str) -> list[Manifest]:
    """Return the objects of a kustomization of its own, beside that of the agent."""
    directory = DIRECTORY / name
    given = yaml.safe_load((directory / "kustomization.yaml").read_text())
    return [one for file in given["resources"] for one in yaml.safe_load_all((directory / file).read_text())]


def manifests(image: str | None = None) -> list[Manifest]:
    """Return the objects in their order, with ``image`` in place of the agent's."""
    given = kustomization()
    (named,) = given["images"]
    wanted = image or f"{named['newName']}:{named['newTag']}"
    found = [one for file in given["resources"] for one in yaml.safe_load_all((DIRECTORY / file).read_text())]
    for container in containers(found):
        if container["image"] == named["name"]:
            container["image"] = wanted
    return found


def containers(objects: list[Manifest]) -> list[Manifest]:
    """Return the containers of all pods."""
    return [
        container
        for one in objects
        for container in one.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ())
    ]


def of_kind(objects: list[Manifest], kind: str) -> Manifest:
    """Return the one object of a kind."""
    (found,) = (one for one in objects if one["kind"] == kind)
    return found
