"""Where built images are kept: one module per kind of registry, and the interface that they share.

Owns the interface, the error and the choice; nothing but the chosen one is imported. Pushing is the builder's.
"""

import pkgutil
import time
from collections.abc import Callable
from typing import Protocol

from ipc.errors import BuildError, HostError
from ipc.targets import LOCAL_REGISTRY, REGISTRIES
from ipc.work_order import WorkOrder
from workers.extras import needed_for
from workers.registries.credentials import Credentials

#: Waits so many seconds; it may raise, to end what waits.
Pause = Callable[[float], None]


class RegistryError(BuildError):
    """A registry refused what was asked of it, or gave no answer."""


class Registry(Protocol):
    """Where the images of this host go."""

    @property
    def pushes(self) -> bool:
        """Whether images are pushed; False where they stay on this host."""
        ...

    def repository(self, entity: str, project: str) -> str:
        """Return the name, without a tag, of the images of a project."""
        ...

    def digest(self, reference: str) -> str | None:
        """Return the digest of the manifest that the registry has under ``reference``.

        None where it has none, and where images stay on this host.

        Raises:
            RegistryError: the registry refuses to say so, or gives no answer.
            HostError: this host's credentials cannot be read.
        """
        ...

    def credentials(self, reference: str) -> Credentials | None:
        """Return what this host shows to the registry of ``reference``, which may be another one; None for nothing.

        Raises:
            HostError: the credentials cannot be read.
        """
        ...


def load_registry(order: WorkOrder, pause: Pause = time.sleep) -> Registry:
    """Return the registry of the images that are built for the job of ``order``.

    ``pause`` waits before a registry is asked again: :meth:`JobContext.wait`, where the job can be stopped meanwhile.

    Raises:
        HostError: the configuration does not say which one it is, or this agent was installed without its SDK.
    """
    target = order.registry
    kind = REGISTRIES[LOCAL_REGISTRY if target is None else target.type or LOCAL_REGISTRY]
    if target is not None and target.uri is None and not kind.finds_address:
        raise HostError(
            f"The configuration of this agent does not say where its registry of the type {target.type} is.",
            hint="The administrator sets builder.destination to the whole address of the repository.",
        )
    with needed_for(f"the registry {kind.name}", kind.extra):
        registry: Registry = pkgutil.resolve_name(kind.path)(order, pause)
    return registry
