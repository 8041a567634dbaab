"""The settings of this host that reach a worker: the sections of ``launchd:`` in ``launch-config.yaml``.

Each setting is declared here once, with its unit and its default. ``launchd.config`` fills the structs from the file,
a work order carries them whole. No I/O.
"""

import msgspec

from ipc.targets import LOCAL_PROCESS

MIB = 1 << 20
GIB = 1 << 30


class JobsConfig(msgspec.Struct, frozen=True):
    """``launchd.jobs``: limits of every job, in seconds and bytes.

    ``stop_grace_seconds`` lie between SIGTERM and SIGKILL. ``start_timeout_seconds`` of 0 means no limit. Of a job's
    output, ``output_files`` files of at most ``output_max_bytes`` bytes are kept. ``init_grace_seconds`` is for W&B's
    servers, where a job's run may begin a moment after its process has ended. A job is given to ``max_attempts``
    workers at most before anything of it exists; ``keep_finished`` jobs that are over stay in the journal.
    """

    stop_grace_seconds: float = 10.0
    start_timeout_seconds: float = 1800.0
    init_grace_seconds: float = 63.0
    max_attempts: int = 3
    output_max_bytes: int = 64 * MIB
    output_files: int = 5
    keep_finished: int = 200


class VenvConfig(msgspec.Struct, frozen=True):
    """``launchd.venv``: how virtual environments are built on this host.

    ``cache_dir`` of None stands for ``venvs`` in the state directory, ``python`` of None for the agent's own
    interpreter. An installer that gives no sign of life for ``no_progress_timeout_seconds`` is ended.
    """

    cache_dir: str | None = None
    cache_max_bytes: int = 20 * GIB
    no_progress_timeout_seconds: float = 600.0
    pip_args: tuple[str, ...] = ()
    python: str | None = None


class DockerConfig(msgspec.Struct, frozen=True):
    """``launchd.docker``: the container engine of this host.

    ``host`` of None stands for ``$DOCKER_HOST``, and then for ``unix:///var/run/docker.sock``. A pull that makes no
    progress for ``pull_no_progress_seconds`` is given up; a job that needs the engine before it has started waits
    ``unavailable_seconds`` for one that does not answer.
    """

    host: str | None = None
    pull_no_progress_seconds: float = 300.0
    unavailable_seconds: float = 120.0


class ContainerRules(msgspec.Struct, frozen=True):
    """``launchd.policy.containers`` for one queue: what a job's container may have of this host.

    ``images``, ``volumes`` and ``users`` are patterns in which ``*`` stands for any text. ``mounts`` are paths, each
    with all below it, to be read or, with ``:rw``, to be written to as well. ``devices`` are paths, in which ``*``
    stands for a text without slashes, with what may be done (``:rwm`` by default). ``networks`` are patterns, but
    ``host`` and ``container:NAME`` stand for themselves alone. ``host_variables`` are names of variables of the agent
    that jobs may have, ``env_files`` paths of files with variables, each with all below it. ``flags`` are names of
    other flags of `docker run`, or ``NAME=PATTERN`` for some of their values.
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


class PolicyRules(msgspec.Struct, frozen=True):
    """``launchd.policy`` for one queue: what submitters may ask of this host.

    The defaults are strict; the administrator opens what the host needs. ``run_as_user`` of None is the agent's user.
    """

    resources: tuple[str, ...] = (LOCAL_PROCESS,)
    run_as_user: str | None = None
    allow_local_git: bool = False
    git_transports: tuple[str, ...] = ("https", "ssh")
    allow_venv: bool = True
    containers: ContainerRules = ContainerRules()


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
