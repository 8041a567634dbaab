"""Secrets as a cluster takes them: of jobs, and of builds in pods. Pure."""

from collections.abc import Mapping
from typing import Any

Object = dict[str, Any]

#: The key of the credentials in a Secret of their type.
DOCKER_CONFIG_KEY = ".dockerconfigjson"
_DOCKER_CONFIG_TYPE = "kubernetes.io/dockerconfigjson"


def docker_config_secret(name: str, config: str) -> Object:
    """Return the Secret ``name`` with credentials for registries; ``config`` is the text of a Docker configuration."""
    return {"metadata": {"name": name}, "type": _DOCKER_CONFIG_TYPE, "stringData": {DOCKER_CONFIG_KEY: config}}


def complete(secret: Object, labels: Mapping[str, str], namespace: str | None = None) -> Object:
    """Return a Secret as the API takes it; its path there says the namespace where it does not say it itself."""
    place = {} if namespace is None else {"namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        **secret,
        "metadata": {**secret["metadata"], **place, "labels": dict(labels)},
    }
