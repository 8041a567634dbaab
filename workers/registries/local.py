"""The registry of a host that has none: built images stay in the engine, or in the storage, that built them."""

from ipc.work_order import WorkOrder
from workers.docker.images import parse_image
from workers.registries import Pause
from workers.registries.credentials import Credentials, CredentialSources
from workers.registries.names import component, split

#: No engine looks for a name with this registry anywhere else.
_REGISTRY = "localhost"


class LocalRegistry:
    """Names for images that stay on this host."""

    pushes = False

    def __init__(self, order: WorkOrder, pause: Pause) -> None:
        del pause  # Nothing is asked here.
        self._sources = CredentialSources(order.registry_access)

    def repository(self, entity: str, project: str) -> str:
        """Return a name that no registry knows."""
        return f"{_REGISTRY}/launchd/{component(entity)}/{component(project)}"

    def digest(self, reference: str) -> str | None:  # noqa: ARG002 (the interface's)
        """Return None: whether the image is there is known where it was built."""
        return None

    def credentials(self, reference: str) -> Credentials | None:
        """Return what Docker's configuration has for the registry of a base image."""
        image = parse_image(reference)
        return self._sources.find(*split(image))
