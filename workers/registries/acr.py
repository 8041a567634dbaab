"""Azure's Container Registry: this host's token for Azure is exchanged for one of the registry.

What the administrator wrote down, in a file or for Docker, goes before it. The exchange goes over TLS alone; a token of
the registry is good for three hours, and another one is asked for before it ends. It is never in a command line or a
file that outlives its use.
"""

import re
import time

import msgspec

from ipc.settings import RegistryAccess
from ipc.targets import AZURE
from ipc.work_order import WorkOrder
from workers.environments import environment_config
from workers.environments.azure import AzureEnvironment
from workers.registries import Pause, RegistryError
from workers.registries.credentials import Credentials, CredentialSources
from workers.registries.distribution import Distribution
from workers.registries.plain import PlainRegistry

#: Names may have hyphens, as those of zones of a registry's domain names have.
_HOST = re.compile(r"[a-z0-9-]+\.azurecr\.(io|cn|us)", re.IGNORECASE)
_SCOPE = "https://containerregistry.azure.net/.default"
#: The user whose password is a token of the registry (Azure's).
_USER = "00000000-0000-0000-0000-000000000000"
#: Seconds for which a token is shown again.
_KEPT_SECONDS = 3600.0


class _Exchanged(msgspec.Struct, frozen=True):
    refresh_token: str


class AcrTokens(CredentialSources):
    """Where this host has credentials, with Azure's for its registries that Docker's configuration lacks."""

    def __init__(self, access: RegistryAccess, own: str, environment: AzureEnvironment, pause: Pause) -> None:
        super().__init__(access, own)
        self._registry = own
        self._environment = environment
        self._api = Distribution(access, CredentialSources(access), pause)
        self._tokens: dict[str, tuple[Credentials, float]] = {}

    def find(self, registry: str, name: str = "") -> Credentials | None:
        """Return what there is for a registry: what the administrator wrote down, else a token."""
        written = super().find(registry, name)
        if written is not None or not (registry == self._registry or _HOST.fullmatch(registry)):
            return written
        kept = self._tokens.get(registry)
        if kept is None or kept[1] < time.monotonic():
            kept = self._tokens[registry] = (self._exchange(registry), time.monotonic() + _KEPT_SECONDS)
        return kept[0]

    def _exchange(self, registry: str) -> Credentials:
        form = {
            "grant_type": "access_token",
            "service": registry.partition(":")[0],
            "access_token": self._environment.token(_SCOPE),
        }
        answer = self._api.post_form(registry, "/oauth2/exchange", form)
        try:
            return Credentials(registry, _USER, msgspec.json.decode(answer, type=_Exchanged).refresh_token)
        except msgspec.DecodeError:
            # What it answered may be half a secret.
            raise RegistryError(f"The registry {registry} gave no token for this host's.") from None


class AcrRegistry(PlainRegistry):
    """The repository of the configuration, of as many parts as it has."""

    def _find_sources(self, order: WorkOrder, own: str, pause: Pause) -> CredentialSources:
        environment = AzureEnvironment(environment_config(order, AZURE), order)
        return AcrTokens(order.registry_access, own, environment, pause)
