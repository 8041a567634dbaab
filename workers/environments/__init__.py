"""The clouds whose credentials this host uses: one module per cloud, and the interface that they share.

Owns the interface, the errors and the choice; nothing but the chosen one is imported. What a cloud's SDK raises is
translated inside its module, by type or status code, never by text.
"""

import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from ipc.errors import HostError, RunnerUnavailable
from ipc.settings import EnvironmentConfig
from ipc.targets import CLOUDS
from ipc.work_order import WorkOrder
from workers.extras import needed_for


class CloudRefused(HostError):
    """The cloud refuses this host: no credentials, wrong ones, or ones that lack a right."""


class CloudUnavailable(RunnerUnavailable):
    """The cloud gave no answer, or asks to be left alone for a time. Worth trying again."""


class Environment(Protocol):
    """A cloud as this host may use it. Made for one job; called from that job's thread alone."""

    def verify(self) -> str:
        """Return as whom, and where, this host speaks to the cloud, in one sentence.

        Raises:
            CloudRefused: it may not; the message says what is wrong and the hint what to do.
            CloudUnavailable: it cannot be asked now.
        """
        ...

    def upload(self, path: Path, uri: str) -> None:
        """Copy a file to ``uri``, or what is below a directory to below ``uri``, whose prefix is kept.

        Raises:
            InvalidSpec: ``uri`` is none of this cloud's.
            CloudRefused: the cloud does not take it.
            CloudUnavailable: the cloud gave no answer.
            OSError: ``path`` cannot be read.
        """
        ...

    def remove(self, uri: str) -> None:
        """Remove what was copied to ``uri`` as a file; what is not there is no problem. Raises as :meth:`upload`."""
        ...


def load_environment(order: WorkOrder, cloud: str) -> Environment:
    """Return the environment for the job of ``order`` in the cloud of the name ``cloud`` (:mod:`ipc.targets`).

    Raises:
        HostError: this agent was installed without the SDK, or has nothing for this cloud.
    """
    return create_environment(environment_config(order, cloud), order)


def environment_config(order: WorkOrder, cloud: str) -> EnvironmentConfig:
    """Return what the configuration says of the cloud of the name ``cloud``.

    As with W&B's agent, a cloud that it does not name is used by its own default credentials.
    """
    named = order.environment
    return named if named is not None and named.type == cloud else EnvironmentConfig(cloud)


def create_environment(config: EnvironmentConfig, order: WorkOrder) -> Environment:
    """Return the environment that ``config`` describes; raises :class:`HostError` as :func:`load_environment`."""
    cloud = next((one for one in CLOUDS if one.environment == config.type), None)
    if cloud is None or cloud.path is None:
        raise HostError(f"This agent has nothing for the environment {config.type}.")
    with needed_for(f"the environment {cloud.environment}", cloud.extra):
        environment: Environment = pkgutil.resolve_name(cloud.path)(config, order)
    return environment


def files_by_name(path: Path, prefix: str) -> Iterator[tuple[Path, str]]:
    """Yield each file with its name in a store.

    A file is called ``prefix``, or has its own name behind one that ends with a slash; what is in a directory has its
    path behind the prefix. Links in a directory are left out.
    """
    if not path.is_dir():
        yield path, f"{prefix}{path.name}" if not prefix or prefix.endswith("/") else prefix
        return
    before = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
    for file in sorted(path.rglob("*")):
        if file.is_file() and not file.is_symlink():
            yield file, before + file.relative_to(path).as_posix()
