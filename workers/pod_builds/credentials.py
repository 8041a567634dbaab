"""The Secrets with which a build in a pod comes to registries, and what its steps are told of this host.

They are made for one build, belong to its Job, and are never ConfigMaps.
"""

import json
from collections.abc import Iterable
from pathlib import Path

from ipc.errors import HostError
from ipc.settings import RegistryAccess
from workers.docker.images import parse_image
from workers.kubernetes.secret_objects import docker_config_secret
from workers.pod_builds.content import Object
from workers.registries import Registry
from workers.registries.credentials import auth_file
from workers.registries.names import split

_TRUST_FILE = "ca.crt"
#: kaniko's own helper for ACR, by which W&B's agent has it use the pod's identity.
_ACR_HELPER = "acr-env"


def registry_secret(name: str, registry: Registry, references: Iterable[str], kind: str | None = None) -> Object | None:
    """Return the Secret with credentials for the registries of images, None where this host has none.

    With ``kind`` ``acr`` the first image's registry is left to a helper of the tool where there are none.

    Raises:
        HostError: the credentials cannot be read.
    """
    images = list(references)
    found = [one for image in images if (one := registry.credentials(image)) is not None]
    if found:
        config = auth_file(found)
    elif kind == "acr":
        config = json.dumps({"credHelpers": {split(parse_image(images[0]))[0]: _ACR_HELPER}})
    else:
        return None
    return docker_config_secret(name, config)


def settings_secret(name: str, settings: dict[str, str]) -> Object | None:
    """Return the Secret with what the steps of a build are told, None where that is nothing."""
    return {"metadata": {"name": name}, "stringData": settings} if settings else None


def trust_secret(name: str, access: RegistryAccess) -> Object | None:
    """Return the Secret with certificates of registries, None where none are configured.

    Raises:
        HostError: their file cannot be read.
    """
    if access.ca_file is None:
        return None
    try:
        return {"metadata": {"name": name}, "stringData": {_TRUST_FILE: Path(access.ca_file).read_text()}}
    except (OSError, UnicodeDecodeError) as error:
        raise HostError(f"The certificates in {access.ca_file} cannot be read: {error}.") from error
