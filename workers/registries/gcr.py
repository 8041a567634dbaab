"""Google Cloud's Artifact Registry: access tokens of this host's default credentials go where a password goes.

What the administrator wrote down, in a file or for Docker, goes before them. A token is good for an hour, and is
renewed before it ends; it is never in a command line or a file that outlives its use.
"""

import re

from ipc.errors import HostError
from ipc.settings import RegistryAccess
from ipc.work_order import WorkOrder
from workers.gcp.requests import Gcp, open_gcp
from workers.registries import Pause
from workers.registries.credentials import Credentials, CredentialSources
from workers.registries.plain import PlainRegistry

#: Artifact Registry, and the names of the registry before it.
_HOST = re.compile(r"[a-z0-9-]+-docker\.pkg\.dev|([a-z]+\.)?gcr\.io", re.IGNORECASE)
#: The user whose password is an access token.
_USER = "oauth2accesstoken"


class GcpTokens(CredentialSources):
    """Where this host has credentials, with Google's for its registries that Docker's configuration lacks."""

    def __init__(self, access: RegistryAccess, own: str, gcp: Gcp) -> None:
        super().__init__(access, own)
        self._places = own
        self._gcp = gcp

    def find(self, registry: str, name: str = "") -> Credentials | None:
        """Return what there is for a registry: what the administrator wrote down, else a token."""
        written = super().find(registry, name)
        if written is not None or not (registry == self._places or _HOST.fullmatch(registry)):
            return written
        return Credentials(registry, _USER, self._gcp.token())


class GcrRegistry(PlainRegistry):
    """The repository of the configuration: its whole address, or its parts, whose project may be the credentials'."""

    def _find_address(self, order: WorkOrder) -> str:
        registry = order.registry
        assert registry is not None
        if registry.uri is not None:
            return registry.uri
        if not (registry.repository and registry.image_name):
            raise HostError(
                "The configuration of this agent does not say where in Artifact Registry its images are.",
                hint="The administrator sets registry.repository and registry.image-name, or builder.destination.",
            )
        gcp = open_gcp(order)
        region = registry.region or gcp.region()
        project = registry.project or gcp.project()
        return f"{region}-docker.pkg.dev/{project}/{registry.repository}/{registry.image_name}"

    def _find_sources(self, order: WorkOrder, own: str, pause: Pause) -> CredentialSources:  # noqa: ARG002 (the base's)
        return GcpTokens(order.registry_access, own, open_gcp(order))
