"""The Job of a build by kaniko, with the effect of that of W&B's agent (0.20.1). Pure.

Steps of a Dockerfile run in kaniko's own container: they can read what is mounted there, credentials included.
"""

from collections.abc import Iterator
from typing import Any

from ipc.errors import HostError
from workers.docker.images import parse_image
from workers.kubernetes.secret_objects import DOCKER_CONFIG_KEY
from workers.pod_builds.content import (
    CONTEXT_PLACE,
    SECRETS_PLACE,
    Content,
    Draft,
    Object,
    items_of,
    mount,
    secret_volume,
)
from workers.registries.names import split

#: Of the fork that goes on with kaniko, whose own project was archived in June 2025.
DEFAULT_IMAGE = "ghcr.io/osscontainertools/kaniko:v1.28.2"

_CONTAINER = "wandb-container-build"
_CONFIG_PLACE = "/kaniko/.docker"
_CONFIG_FILE = "config.json"
#: Where kaniko looks for the credentials of a cloud: mount, name of the file, and a variable that names it.
_CLOUD_FILES = {
    "ecr": ("/root/.aws", "credentials", None),
    "gcr": ("/kaniko/.config/gcloud", _CONFIG_FILE, "GOOGLE_APPLICATION_CREDENTIALS"),
}
#: A Secret of the cluster with the key of an account of Azure's Blob Storage (W&B's).
_AZURE_SECRET, _AZURE_KEY, _AZURE_VARIABLE = "azure-storage-access-key", "password", "AZURE_STORAGE_ACCESS_KEY"
_TRUST_PLACE = "/kaniko/trust"


class KanikoKit:
    """kaniko: its image has no shell, so its files come from a store, a claim, or one Secret."""

    tool = "kaniko"
    most_parts = 1
    takes_stores = True
    pulls_apart = False

    def job(self, content: Content) -> Object:
        """Return the Job; see :class:`~workers.pod_builds.content.Kit`."""
        draft = Draft(content)
        container = draft.container
        mounts, variables = items_of(container, "volumeMounts"), items_of(container, "env")
        for volume, where in _volumes(content):
            draft.volumes.append(volume)
            mounts.append(where)
        if content.settings_secret is not None:
            draft.volumes.append(secret_volume("settings", content.settings_secret))
        mounts += [mount("settings", f"{SECRETS_PLACE}/{name}", part=name) for name in content.settings]
        variables += _variables(content)
        if content.registry == "acr" and content.auth_secret is None:
            draft.pod_metadata["labels"]["azure.workload.identity/use"] = "true"
        container |= {"args": list(_args(content, container.get("args"))), "volumeMounts": mounts, "env": variables}
        container.setdefault("name", _CONTAINER)
        container.setdefault("image", content.config.kaniko_image or DEFAULT_IMAGE)
        return draft.finish(container)


def _volumes(content: Content) -> Iterator[tuple[Object, Object]]:
    """Yield each volume with its mount."""
    if content.files.volume is not None:
        yield {"name": "context", **content.files.volume}, mount("context", CONTEXT_PLACE)
    credentials = content.auth_secret or content.push_secret
    if credentials is not None:
        item = {"key": DOCKER_CONFIG_KEY, "path": _CONFIG_FILE}
        yield secret_volume("docker-config", credentials, item), mount("docker-config", _CONFIG_PLACE)
    place, file, _ = _CLOUD_FILES[_cloud_of(content)]
    if content.config.secret_name and content.auth_secret is None:
        item = {"key": str(content.config.secret_key), "path": file}
        yield secret_volume("cloud", content.config.secret_name, item), mount("cloud", place)
    if content.trust_secret is not None:
        yield secret_volume("trust", content.trust_secret), mount("trust", _TRUST_PLACE)


def _cloud_of(content: Content) -> str:
    """Return whose credentials ``secret-name`` has: the registry's cloud, else that of the store."""
    if content.registry in _CLOUD_FILES:
        return content.registry
    return "ecr" if content.files.address.startswith("s3://") else "gcr"


def _variables(content: Content) -> Iterator[Object]:
    if content.region is not None and (content.registry == "ecr" or content.files.address.startswith("s3://")):
        yield {"name": "AWS_REGION", "value": content.region}
    place, file, variable = _CLOUD_FILES[_cloud_of(content)]
    if content.config.secret_name and variable is not None and content.auth_secret is None:
        yield {"name": variable, "value": f"{place}/{file}"}
    if content.files.address.startswith("https://"):
        reference = {"name": _AZURE_SECRET, "key": _AZURE_KEY, "optional": True}
        yield {"name": _AZURE_VARIABLE, "valueFrom": {"secretKeyRef": reference}}


def _args(content: Content, own: Any) -> Iterator[str]:
    """Yield the arguments; those of the administrator go before equal ones."""
    flags: dict[str, str | None] = {
        "--context": content.files.address,
        "--dockerfile": content.dockerfile,
        "--destination": content.reference,
        "--cache": "true",
        "--cache-repo": content.repository,
        "--snapshot-mode": "redo",
        "--compressed-caching": "false",
    }
    if content.config.platform is not None:
        flags["--custom-platform"] = content.config.platform
    flags |= _trust(content)
    if type(own or []) is not list:
        raise HostError("args in builder.kaniko-config must be a list.")
    for text in own or ():
        name, equals, value = str(text).partition("=")
        flags[name] = value if equals else None
    yield from (name if value is None else f"{name}={value}" for name, value in flags.items())
    yield from (f"--label={name}={value}" for name, value in content.image_labels.items())
    yield from (f"--build-arg={name}={value}" for name, value in content.build_args.items())


def _trust(content: Content) -> dict[str, str | None]:
    registry = split(parse_image(content.reference))[0]
    flags: dict[str, str | None] = {}
    if registry in content.insecure:
        flags |= dict.fromkeys(("--insecure", "--skip-tls-verify"), "true")
    if any(name in content.insecure for name in (split(parse_image(base))[0] for base in content.bases)):
        flags |= dict.fromkeys(("--insecure-pull", "--skip-tls-verify-pull"), "true")
    if content.trust_secret is not None:
        flags["--registry-certificate"] = f"{registry}={_TRUST_PLACE}/ca.crt"
    return flags
