"""The work order: everything a worker needs to know of its job, as a file in the job's directory.

Written by the supervisor each time it assigns the job, before the worker is told; the journal keeps the truth. It
holds no secret: the API key goes through the pipe.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from ipc.directories import PASSABLE, sync_names
from ipc.gpus import Gpu
from ipc.policy_rules import PolicyRules
from ipc.run_spec import RunSpec
from ipc.settings import (
    AwsConfig,
    BuildahConfig,
    BuilderConfig,
    DockerConfig,
    EnvironmentConfig,
    HooksConfig,
    JobsConfig,
    KubernetesConfig,
    RegistryAccess,
    RegistryConfig,
    SupervisionConfig,
    VenvConfig,
    VertexConfig,
)

ORDER_FILE = "job.json"

#: In a job's directory: where its source is fetched, which no process of the job can read.
FETCH_DIRECTORY = "fetch"

_NEW_ORDER_FILE = ".job.json.new"


class JobUser(msgspec.Struct, frozen=True):
    """Whom processes of a job run as: numbers, which need no password entry on this host.

    ``name`` is None where there is none; ``home`` is the home directory, ``groups`` are the supplementary groups.
    ``temporary`` is a directory of its own for temporary files, None for the host's.
    """

    uid: int
    gid: int
    home: str
    name: str | None = None
    shell: str = "/bin/sh"
    groups: tuple[int, ...] = ()
    temporary: str | None = None

    @property
    def is_number(self) -> bool:
        """Whether it is a number out of a range, and so belongs to one job alone."""
        return self.name is None

    @property
    def login(self) -> str:
        """What ``USER`` and ``LOGNAME`` say."""
        return self.name or f"job-{self.uid}"


class WorkOrder(msgspec.Struct, frozen=True):
    """One job, ready to be run by a worker.

    ``name`` is the workload name, ``attempt`` counts the job's starts from 1. ``submitter_key`` says that the API key
    that goes with the order is the submitter's own (W&B's ``_wandb_api_key``) and not the agent's. ``builder`` is the
    builder that the configuration chose among those that the job's target takes, None for none; ``builder_config`` is
    what it is told. ``registry`` is where images are pushed to, None where they stay on this host.
    ``environment`` is the cloud that the configuration names, None for none. The settings of the
    host are carried whole; ``policy`` are the rules of the job's queue. ``user`` is whom the job runs as,
    ``fetch_user`` whom its source is fetched as, ``install_user`` whom what it shares with other jobs is installed as;
    None is the agent's own user. ``control_group`` is the path of the control group that is the job's to make, None
    where the host has none. ``gpus`` are those that the job alone sees, None where the agent does not give out GPUs;
    ``gpu_lease`` is the number of their lease.
    """

    name: str
    item_id: str
    queue: str
    entity: str
    attempt: int
    base_url: str
    spec: RunSpec
    directory: str
    submitter_key: bool = False
    builder: str | None = None
    builder_config: BuilderConfig = BuilderConfig()
    registry: RegistryConfig | None = None
    registry_access: RegistryAccess = RegistryAccess()
    environment: EnvironmentConfig | None = None
    aws: AwsConfig = AwsConfig()
    buildah: BuildahConfig = BuildahConfig()
    jobs: JobsConfig = JobsConfig()
    venv: VenvConfig = VenvConfig()
    docker: DockerConfig = DockerConfig()
    kubernetes: KubernetesConfig = KubernetesConfig()
    vertex: VertexConfig = VertexConfig()
    policy: PolicyRules = PolicyRules()
    supervision: SupervisionConfig = SupervisionConfig()
    user: JobUser | None = None
    fetch_user: JobUser | None = None
    control_group: str | None = None
    install_user: JobUser | None = None
    gpus: tuple[Gpu, ...] | None = None
    gpu_lease: int | None = None
    hooks: HooksConfig = HooksConfig()


#: Made once, in the fork server: making a decoder takes longer than using it.
_order_decoder = msgspec.json.Decoder(WorkOrder)


def write_order(order: WorkOrder) -> None:
    """Write ``order`` into its job's directory, which is made if it is missing, readable by its owner alone."""
    parent, _, name = order.directory.rpartition("/")
    with _order_directory(Path(parent)) as jobs:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=jobs)
        # A job of another user passes through it to its working directory, and can read nothing on the way.
        os.chmod(name, PASSABLE if order.user or order.fetch_user else 0o700, dir_fd=jobs)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(f"{name}/{_NEW_ORDER_FILE}", flags, 0o600, dir_fd=jobs), "wb") as file:
            file.write(msgspec.json.encode(order))
        os.rename(f"{name}/{_NEW_ORDER_FILE}", f"{name}/{ORDER_FILE}", src_dir_fd=jobs, dst_dir_fd=jobs)


@contextmanager
def _order_directory(directory: Path) -> Iterator[int]:
    """Open the directory of all jobs, which is made if it is missing; yields its descriptor.

    A job's own directory is reached from it by its name alone: a ``Path`` would intern the name, and the interpreter's
    table of interned names would grow by a megabyte over some thousand jobs.
    """
    if not directory.exists():
        directory.mkdir(parents=True, exist_ok=True)
        sync_names(directory.parent)
    directory.chmod(PASSABLE)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def has_order(directory: str) -> bool:
    """Return whether there is a work order in ``directory``, of an earlier assignment."""
    return Path(directory, ORDER_FILE).exists()


def read_order(directory: Path) -> WorkOrder:
    """Return the work order in ``directory``.

    Raises:
        OSError: it cannot be read.
        msgspec.DecodeError: it is not a work order.
    """
    return _order_decoder.decode((directory / ORDER_FILE).read_bytes())
