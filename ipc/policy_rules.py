"""What submitters may ask of this host, by queue: the rules of ``launchd.policy`` in ``launch-config.yaml``.

Each rule is declared here once, with its unit and its default, which is strict. ``launchd.config`` fills the structs
from the file, a work order carries those of its job's queue. No I/O, and no judgement: that is
``launchd/agent/policy.py``'s before a job begins, and its target's (``workers/docker/policy.py`` and the like).
"""

import msgspec

from ipc.settings import UserNumbers
from ipc.targets import LOCAL_PROCESS


class ContainerLimits(msgspec.Struct, frozen=True):
    """``launchd.policy.containers.limits``: what a container may use at most, and does where its job asks for no less.

    ``None`` is no limit. ``memory`` in bytes, swap included; ``processors`` as a number of processors' time;
    ``processes`` with threads; ``shared_memory`` in bytes, the size of ``/dev/shm``; ``disk`` in bytes, what is written
    to the container's own file system. ``health_check_seconds`` is the least time between two looks of the engine at a
    container's health, which are the engine's own work; 0 is no limit.
    """

    memory: int | None = None
    processors: float | None = None
    processes: int | None = None
    shared_memory: int | None = None
    disk: int | None = None
    health_check_seconds: float = 5.0


class ContainerRules(msgspec.Struct, frozen=True):
    """``launchd.policy.containers`` for one queue: what a job's container may have of this host.

    ``images``, ``volumes`` and ``users`` are patterns in which ``*`` stands for any text. ``mounts`` are paths, each
    with all below it, to be read or, with ``:rw``, to be written to as well. ``devices`` are paths, in which ``*``
    stands for a text without slashes, with what may be done (``:rwm`` by default). ``networks`` are patterns, but
    ``host`` and ``container:NAME`` stand for themselves alone. ``host_variables`` are names of variables of the agent
    that jobs may have, ``env_files`` paths of files with variables, each with all below it. ``flags`` are names of
    other flags of `docker run`, or ``NAME=PATTERN`` for some of their values. ``user`` is whom containers run as whose
    jobs name none, as the flag `user` has it. With ``no_new_privileges`` no program in a container gets more rights
    than it was started with. ``limits`` is what a container may use.
    """

    images: tuple[str, ...] = ("*",)
    mounts: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    networks: tuple[str, ...] = ("bridge", "none")
    capabilities: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    host_variables: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    user: str | None = None
    no_new_privileges: bool = False
    limits: ContainerLimits = ContainerLimits()


class KubernetesRules(msgspec.Struct, frozen=True):
    """``launchd.policy.kubernetes`` for one queue: what a job may have of a cluster.

    ``images``, ``namespaces``, ``contexts``, ``service_accounts`` and ``custom_resources`` (``GROUP/KIND``) are
    patterns in which ``*`` stands for any text, as are ``services``: kinds of objects beside a job
    (``additional_services``), ``KIND`` or ``GROUP/KIND``. ``config_files`` are paths of kubeconfigs of this host,
    ``host_paths`` paths of the nodes; a directory stands for all below it. ``fields`` are names of fields that are
    refused otherwise, such as ``hostNetwork`` or ``securityContext``; ``privileged`` allows what a ``securityContext``
    may ask for beyond the usual. ``host_variables`` are names of variables of the agent that a manifest may have in its
    macros.
    """

    images: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)
    contexts: tuple[str, ...] = ()
    config_files: tuple[str, ...] = ()
    service_accounts: tuple[str, ...] = ()
    custom_resources: tuple[str, ...] = (
        "batch.volcano.sh/*",
        "kubeflow.org/*",
        "jobset.x-k8s.io/*",
        "ray.io/*",
        "trainer.kubeflow.org/*",
        "workload.codeflare.dev/*",
    )
    services: tuple[str, ...] = ("Pod", "Service", "apps/Deployment")
    host_paths: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    host_variables: tuple[str, ...] = ()


class VertexRules(msgspec.Struct, frozen=True):
    """``launchd.policy.vertex`` for one queue: what a job may have of the Google Cloud project of this host.

    ``images``, ``buckets`` (``gs://...``), ``service_accounts`` and ``networks`` are patterns in which ``*`` stands for
    any text. ``fields`` are names of fields of a job that are refused otherwise, such as ``enable_web_access``.
    ``host_variables`` are names of variables of the agent that a job may have in its macros.
    """

    images: tuple[str, ...] = ("*",)
    buckets: tuple[str, ...] = ("*",)
    service_accounts: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    host_variables: tuple[str, ...] = ()


class SagemakerRules(msgspec.Struct, frozen=True):
    """``launchd.policy.sagemaker`` for one queue: what a job may ask of SageMaker in the name of this host.

    All but the numbers are patterns in which ``*`` stands for any text. ``roles`` are roles as jobs name them, by ARN
    or by name; a job has the rights of its role, so that none is granted by default. ``instance_types``, ``images``
    and ``outputs`` (addresses in S3 that jobs write to) are open, ``subnets`` and ``security_groups`` closed, as are
    other ``regions`` and ``profiles`` than the agent's own and the agent's variables in macros (``host_variables``).
    ``fields`` are names of further fields of CreateTrainingJob, with those inside a field as ``OUTER.INNER``.
    ``instances`` (a number), ``runtime_seconds`` (of StoppingCondition) and ``volume_gib`` (of each instance) are what
    a job may have at most.
    """

    roles: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ("*",)
    images: tuple[str, ...] = ("*",)
    outputs: tuple[str, ...] = ("*",)
    regions: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    host_variables: tuple[str, ...] = ()
    instances: int = 1
    runtime_seconds: int = 86400
    volume_gib: int = 100


class PolicyRules(msgspec.Struct, frozen=True):
    """``launchd.policy`` for one queue: what submitters may ask of this host.

    The defaults are strict; the administrator opens what the host needs. ``run_as_user`` is one user for all jobs,
    ``run_as_users`` the numbers of which each job gets its own; with neither jobs run as the agent's user, which may
    be root only with ``allow_root_jobs``. ``git_credentials`` of None is yes where jobs run as the agent's user, who
    can read these anyway, and no where they do not.
    """

    resources: tuple[str, ...] = (LOCAL_PROCESS,)
    run_as_user: str | None = None
    run_as_users: UserNumbers | None = None
    allow_root_jobs: bool = False
    git_credentials: bool | None = None
    allow_local_git: bool = False
    git_transports: tuple[str, ...] = ("https", "ssh")
    git_submodules: bool = True
    allow_venv: bool = True
    containers: ContainerRules = ContainerRules()
    kubernetes: KubernetesRules = KubernetesRules()
    vertex: VertexRules = VertexRules()
    sagemaker: SagemakerRules = SagemakerRules()
