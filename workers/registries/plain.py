"""Any registry that speaks the Distribution API, by its address."""

from ipc.errors import HostError, InvalidSpec
from ipc.work_order import WorkOrder
from workers.docker.images import parse_image
from workers.registries import Pause
from workers.registries.credentials import Credentials, CredentialSources
from workers.registries.distribution import Distribution
from workers.registries.names import component, split


class PlainRegistry:
    """The registry at ``builder.destination`` or ``registry.uri``."""

    pushes = True

    def __init__(self, order: WorkOrder, pause: Pause) -> None:
        self._address = self._find_address(order)
        own = self.repository("", "").partition("/")[0]
        self._sources = self._find_sources(order, own, pause)
        self._api = Distribution(order.registry_access, self._sources, pause)

    def _find_address(self, order: WorkOrder) -> str:
        """Return the address of the repository, or of the registry alone; raises :class:`HostError`."""
        assert order.registry is not None
        return order.registry.uri or ""

    def _find_sources(self, order: WorkOrder, own: str, pause: Pause) -> CredentialSources:  # noqa: ARG002 (for clouds)
        """Return where there are credentials for the registry ``own`` and others."""
        return CredentialSources(order.registry_access, own)

    def repository(self, entity: str, project: str) -> str:
        """Return the repository of the configuration; one of the project's own where that names a registry alone."""
        is_whole = "/" in self._address
        name = self._address if is_whole else f"{self._address}/{component(entity)}/{component(project)}"
        try:
            return parse_image(name).repository
        except InvalidSpec as error:
            raise HostError(
                f"The address {self._address!r} in the configuration of this agent is no name of a repository.",
                hint=error.hint,
            ) from error

    def digest(self, reference: str) -> str | None:
        """Return the digest by the manifest; see :class:`~workers.registries.Registry`."""
        return self._api.digest(parse_image(reference))

    def credentials(self, reference: str) -> Credentials | None:
        """Return the credentials for the registry of ``reference``."""
        return self._sources.find(*split(parse_image(reference)))
