"""The settings of this host that reach a worker: the sections of ``launchd:`` in ``launch-config.yaml``.

Each setting is declared here once, with its unit and its default. ``launchd.config`` fills the structs from the file,
a work order carries them whole. What submitters may ask for is in ``ipc/policy_rules.py``. No I/O.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

MIB = 1 << 20
GIB = 1 << 30

#: As many users and groups as an image may have.
NUMBERS_PER_BUILD = 1 << 16


class JobLimits(msgspec.Struct, frozen=True):
    """``launchd.jobs.limits``: what one job may use at most; ``None`` is no limit.

    ``memory`` in bytes, swap included; ``processors`` as a number of processors' time; ``processes`` with threads:
    these are held by the control group of the job. ``disk`` is what its own directories may take, in bytes: it is
    measured now and then, and a job that has taken more is ended.
    """

    memory: int | None = None
    processors: float | None = None
    processes: int | None = None
    disk: int | None = None

    def names(self) -> tuple[str, ...]:
        """Return the names of the limits that are set."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name) is not None)


class QueueJobs(msgspec.Struct, frozen=True):
    """``launchd.jobs.queues.NAME``: limits of the jobs of one queue; ``None`` is as for all queues.

    ``environment`` lies over the variables for all queues.
    """

    max_runtime_seconds: float | None = None
    environment: Mapping[str, str | None] = {}


class JobsConfig(msgspec.Struct, frozen=True):
    """``launchd.jobs``: limits of every job, in seconds and bytes.

    ``stop_grace_seconds`` lie between SIGTERM and SIGKILL. ``start_timeout_seconds`` and ``max_runtime_seconds``, which
    count until a job's start and from there on, have no limit at 0. Of a job's output, ``output_files`` files of at
    most ``output_max_bytes`` bytes are kept. ``init_grace_seconds`` is for W&B's servers, where a job's run may begin a
    moment after its process has ended. A job is given to ``max_attempts`` workers at most before anything of it exists;
    ``keep_finished`` jobs that are over stay in the journal, of these no one for longer than ``keep_days``.
    ``control_group`` is the delegated control group below which each job gets one of its own, None for that of
    ``launch-agent-jobs.service``; ``limits`` is what each job may use. ``environment`` are variables for every job: a
    value, or None for that of the agent's own variable of the name. ``umask`` are octal digits, None for what a login
    of the job's user would have. ``queues`` has limits and variables by queue.
    """

    stop_grace_seconds: float = 10.0
    start_timeout_seconds: float = 1800.0
    max_runtime_seconds: float = 0.0
    init_grace_seconds: float = 63.0
    max_attempts: int = 3
    output_max_bytes: int = 64 * MIB
    output_files: int = 5
    keep_finished: int = 200
    keep_days: float | None = None
    control_group: str | None = None
    limits: JobLimits = JobLimits()
    environment: Mapping[str, str | None] = {}
    umask: str | None = None
    queues: Mapping[str, QueueJobs] = {}

    def runtime_limit(self, queue: str) -> float:
        """Return how long, in seconds, jobs of ``queue`` may run; 0 for no limit."""
        own = self.queues[queue].max_runtime_seconds if queue in self.queues else None
        return self.max_runtime_seconds if own is None else own

    def variables(self, queue: str, agent: Mapping[str, str]) -> dict[str, str]:
        """Return the variables for jobs of ``queue``; ``agent`` are the agent's own, of which some are passed on."""
        given = {**self.environment, **(self.queues[queue].environment if queue in self.queues else {})}
        found = {name: agent.get(name) if value is None else value for name, value in given.items()}
        return {name: value for name, value in found.items() if value is not None}


class HooksConfig(msgspec.Struct, frozen=True):
    """``launchd.hooks``: programs of the administrator that run before and after each job, each with its arguments.

    ``before`` and ``after`` run as the agent's user, ``job_before`` and ``job_after`` as the job's; each for
    ``timeout_seconds`` at the most. An empty one is none.
    """

    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    job_before: tuple[str, ...] = ()
    job_after: tuple[str, ...] = ()
    timeout_seconds: float = 60.0

    @property
    def is_any(self) -> bool:
        """Whether there is any."""
        return any((self.before, self.after, self.job_before, self.job_after))

    @property
    def longest_seconds(self) -> float:
        """How long all of them may take together, twice: for an attempt that starts over."""
        hooks = (self.before, self.after, self.job_before, self.job_after)
        return 2 * self.timeout_seconds * sum(map(bool, hooks))


class VenvConfig(msgspec.Struct, frozen=True):
    """``launchd.venv``: how virtual environments are built on this host.

    ``cache_dir`` of None stands for ``venvs`` in the state directory, ``python`` of None for the agent's own
    interpreter; ``pythons`` are others, for projects that need another version; with ``fetch_pythons``, uv may fetch
    further ones. What no job used for
    ``cache_keep_days`` is removed. An installer that gives no sign of life for ``no_progress_timeout_seconds`` is
    ended. Where jobs have users of their own, what they share is installed by ``install_user``, the name or number of a
    user; the one here is no job's, and needs no password entry. With ``pass_index_settings``, the agent's variables for
    pip and uv, passwords included, are given to what jobs build.
    """

    cache_dir: str | None = None
    cache_max_bytes: int = 20 * GIB
    cache_keep_days: float | None = None
    no_progress_timeout_seconds: float = 600.0
    pip_args: tuple[str, ...] = ()
    python: str | None = None
    pythons: tuple[str, ...] = ()
    fetch_pythons: bool = False
    install_user: str = "69999"
    pass_index_settings: bool = False


class UserNumbers(msgspec.Struct, frozen=True):
    """Numbers of users and groups, ``first`` to ``last``, that belong to the jobs of one agent and to nothing else."""

    first: int
    last: int

    @property
    def numbers(self) -> range:
        """The numbers themselves."""
        return range(self.first, self.last + 1)


class EngineCleanupConfig(msgspec.Struct, frozen=True):
    """``launchd.docker.cleanup``: what the agent removes from the container engine of this host, and when.

    Images and build cache go once more than ``above_percent`` of the engine's disk is in use, until no more than
    ``below_percent`` is; what was used within ``keep_seconds`` stays. The agent looks every ``interval_seconds``; 0 is
    never, and at the agent's start its orphaned containers alone are removed then.
    """

    above_percent: float = 90.0
    below_percent: float = 80.0
    keep_seconds: float = 3600.0
    interval_seconds: float = 300.0


class DockerConfig(msgspec.Struct, frozen=True):
    """``launchd.docker``: the container engine of this host.

    ``host`` of None stands for ``$DOCKER_HOST``, and then for ``unix:///var/run/docker.sock``. A pull that makes no
    progress for ``pull_no_progress_seconds`` is given up; a job that needs the engine before it has started waits
    ``unavailable_seconds`` for one that does not answer.

    Images are built from ``base_image``, in which ``{version}`` stands for the Python of the job. A build that says
    nothing for ``build_no_progress_seconds`` is ended. ``build_network`` is the network of its steps, None for the
    engine's own choice.
    """

    host: str | None = None
    pull_no_progress_seconds: float = 300.0
    unavailable_seconds: float = 120.0
    base_image: str = "python:{version}-bookworm"
    build_no_progress_seconds: float = 1800.0
    build_network: str | None = None
    cleanup: EngineCleanupConfig = EngineCleanupConfig()


class BuilderConfig(msgspec.Struct, frozen=True):
    """W&B's `builder`. `type` None: the section is absent, and the builder is chosen by what the host has."""

    type: str | None = None
    destination: str | None = None
    platform: str | None = None
    build_context_store: str | None = None
    build_job_name: str = "wandb-launch-container-build"
    secret_name: str | None = None
    secret_key: str | None = None
    kaniko_image: str | None = None
    kaniko_config: Mapping[str, Any] = {}


class RegistryConfig(msgspec.Struct, frozen=True):
    """W&B's `registry`, which it deprecates in favour of `builder.destination`.

    ``uri`` is the repository without a tag. What a work order carries has it, or the parts that do not tell it.
    """

    type: str | None = None
    uri: str | None = None
    account_id: str | None = None
    region: str | None = None
    repository: str | None = None
    image_name: str | None = None
    project: str | None = None


class EnvironmentConfig(msgspec.Struct, frozen=True):
    """W&B's `environment`: the cloud whose credentials the agent uses.

    ``type`` is ``aws``, ``gcp`` or ``azure``. ``region`` of None is the one that the cloud's own settings name, which
    the file can leave out for ``azure`` alone. ``project`` is Google Cloud's, None for that of the credentials.
    """

    type: str
    region: str | None = None
    project: str | None = None


class AwsConfig(msgspec.Struct, frozen=True):
    """``launchd.aws``: whose credentials this host uses at AWS, beside what W&B's ``environment`` says.

    ``profile`` is one of the agent's ``~/.aws/config``, None for what the SDK's own chain finds. ``role_arn`` is a role
    that these credentials take on, with ``external_id`` where the role asks for one; it is renewed before it expires.
    ``create_repositories`` lets the agent create a missing repository of ECR before it pushes an image. A training job
    is looked at every ``poll_seconds``.
    """

    profile: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    create_repositories: bool = False
    poll_seconds: float = 10.0


class RegistryAccess(msgspec.Struct, frozen=True):
    """``launchd.registry``: how this host comes to the registry of its images.

    ``docker_config`` is the path of a ``config.json`` of Docker's with credentials and helpers, None for
    ``$DOCKER_CONFIG/config.json`` and then ``~/.docker/config.json``. ``username``, with what stands in
    ``password_file``, goes before it for the registry that images are pushed to. ``ca_file`` holds certificates to
    trust beside the host's own. ``insecure`` allows plain HTTP and certificates that are not checked, which loopback
    addresses may have anyway. An answer may take ``timeout_seconds``.
    """

    docker_config: str | None = None
    username: str | None = None
    password_file: str | None = None
    ca_file: str | None = None
    insecure: bool = False
    timeout_seconds: float = 30.0


class BuildahConfig(msgspec.Struct, frozen=True):
    """``launchd.buildah``: how images are built without a daemon.

    ``storage_dir`` of None stands for ``buildah`` in the state directory; ``storage_driver`` of None is buildah's own
    choice. Of layers and base images, ``cache_max_bytes`` are kept at most. ``user_numbers`` are the numbers of users
    that an agent which is root gives to its builds: each 65,536 of them make one build at a time possible. A build that
    shows no progress for ``no_progress_seconds``, or takes longer than ``timeout_seconds``, is ended.
    """

    storage_dir: str | None = None
    storage_driver: str | None = None
    cache_max_bytes: int = 20 * GIB
    user_numbers: UserNumbers | None = None
    no_progress_seconds: float = 600.0
    timeout_seconds: float = 3600.0


class VertexConfig(msgspec.Struct, frozen=True):
    """``launchd.vertex``: how this host speaks to Vertex AI, and to Cloud Logging for the output of jobs.

    ``endpoint`` of None stands for ``https://REGION-aiplatform.googleapis.com``, ``logging_endpoint`` of None for
    ``https://logging.googleapis.com``. A job is looked at every ``poll_seconds``. Its output is asked for every
    ``log_poll_seconds``: a project of Google Cloud may ask 60 times a minute, for all of its jobs. An answer may take
    ``timeout_seconds``.
    """

    endpoint: str | None = None
    logging_endpoint: str | None = None
    poll_seconds: float = 10.0
    log_poll_seconds: float = 15.0
    timeout_seconds: float = 30.0


class PodBuildsConfig(msgspec.Struct, frozen=True):
    """``launchd.kubernetes.builds``: how images are built in pods, where ``builder.type`` says so.

    ``image`` is that of buildah, None for one of its project's. ``namespace`` of None is ``launchd.kubernetes``'s,
    ``service_account`` of None is ``$WANDB_LAUNCH_SERVICE_ACCOUNT_NAME`` and then the namespace's own. ``claim`` is a
    PersistentVolumeClaim through which files reach a build, None for ``$WANDB_LAUNCH_KANIKO_PVC_NAME``;
    ``claim_directory`` is where this host has it mounted, None for ``$WANDB_LAUNCH_KANIKO_PVC_MOUNT_PATH`` and then
    ``/kaniko``. A build of which nothing new is seen for ``no_progress_seconds``, or that takes longer than
    ``timeout_seconds``, is ended.
    """

    image: str | None = None
    namespace: str | None = None
    service_account: str | None = None
    claim: str | None = None
    claim_directory: str | None = None
    no_progress_seconds: float = 600.0
    timeout_seconds: float = 3600.0


class KubernetesConfig(msgspec.Struct, frozen=True):
    """``launchd.kubernetes``: the cluster of this agent, where a queue names no other.

    ``config_file`` is the path of a kubeconfig, None for ``$KUBECONFIG``, then ``~/.kube/config``, and then the service
    account of the pod that the agent runs in. ``context`` of None is the kubeconfig's current one, ``namespace`` of
    None that of the context. An answer of the API may take ``timeout_seconds``. With ``pull_secrets``, jobs of
    images in the agent's registry get a Secret with its credentials to pull them. Files of jobs that no image has reach
    pods by ``code_claim``, a PersistentVolumeClaim that this host has mounted at ``code_claim_directory``; None stands
    for ``$WANDB_LAUNCH_CODE_PVC_NAME`` and ``$WANDB_LAUNCH_CODE_PVC_MOUNT_PATH``, and for Secrets without these.
    ``builds`` is about images that are built there.
    """

    config_file: str | None = None
    context: str | None = None
    namespace: str | None = None
    timeout_seconds: float = 30.0
    pull_secrets: bool = True
    code_claim: str | None = None
    code_claim_directory: str | None = None
    builds: PodBuildsConfig = PodBuildsConfig()


class SupervisionConfig(msgspec.Struct, frozen=True):
    """``launchd.supervision``: how the supervisor watches its workers and asks for work, in seconds.

    ``poll_seconds`` is for W&B's servers, ``wait_seconds`` for those that answer when there is work.
    """

    worker_heartbeat_seconds: float = 10.0
    worker_silence_seconds: float = 60.0
    fork_server_silence_seconds: float = 15.0
    fetch_timeout_seconds: float = 1800.0
    build_timeout_seconds: float = 7200.0
    submit_timeout_seconds: float = 300.0
    spare_workers: int = 1
    poll_seconds: float = 10.0
    wait_seconds: float = 25.0
    server_silence_seconds: float = 600.0
