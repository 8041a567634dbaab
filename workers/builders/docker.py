"""Builds images with the host's container engine: with BuildKit by Docker's client, else by the Engine API.

The client runs as the agent's user, under a monitor that ends it with its worker, and gets the project as data: a
directory of the agent's that no job can write to. The API alone has neither secrets nor caches.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from ipc.engine_address import HOST_VARIABLE
from ipc.errors import BuildError, RunnerUnavailable
from workers.builders import Build
from workers.builders.docker_client import BuildKitClient, find_client
from workers.builders.engine_events import EngineFailed, follow_events
from workers.builders.named_bases import check_bases
from workers.context import JobContext
from workers.docker.engine import Engine, EngineError, EngineForbidden
from workers.images import ImagePlan
from workers.images.build_area import images_directory
from workers.images.build_log import BUILD_LOG_FILE, BuildLog, follow, in_words
from workers.images.once import build_once
from workers.images.recipe import without_mounts
from workers.images.secret_files import in_memory
from workers.process_environment import process_environment
from workers.registries import Registry, load_registry
from workers.sources import Project
from workers.subprocess_runner import Limits, ToolCommand, ToolFailed, run_command

T = TypeVar("T")

#: How often an engine that does not answer is asked again, in seconds.
RETRY_SECONDS = 2.0
#: Of the limit of the phase, after which the worker itself would be taken to hang.
_TOTAL_SHARE = 0.9
_SILENT_KEY = "launchd.docker.build_no_progress_seconds"
#: Where the client finds credentials for base images, and its plugins.
_CLIENT_VARIABLES = ("DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY")
_CONFIG_NAME = "config.json"
#: No project can put a file there that a client would obey.
_NOWHERE = Path("/")
_KEPT_LINES = 200


class DockerBuilder:
    """W&B's builder `docker`. Images stay in the engine, and are pushed where the agent has a registry."""

    def needed(self, project: Project, context: JobContext) -> bool:  # noqa: ARG002 (the interface's)
        """Return True: without an image there is no container."""
        return True

    def build(self, project: Project, context: JobContext) -> Build:
        """Build the image of ``project``, or find it built before.

        Raises:
            BuildError: with the end of the output as ``detail``.
            RunnerUnavailable: the engine does not answer.
            JobError: what else planning the image raises.
            JobCancelled: the job was stopped meanwhile.
        """
        registry = load_registry(context.order, context.wait)
        with closing(Engine(context.order.docker.host)) as engine:
            return build_once(project, context, registry, _EngineMaker(context, registry, engine))


class _EngineMaker:
    """Builds for one job."""

    def __init__(self, context: JobContext, registry: Registry, engine: Engine) -> None:
        self._context = context
        self._settings = context.order.docker
        self._registry = registry
        self._engine = engine

    def has(self, plan: ImagePlan) -> bool:
        """Return whether the image is in the registry, or in the engine where there is none."""
        if self._registry.pushes:
            return self._registry.digest(plan.reference) is not None
        return self._is_built(plan)

    def make(self, plan: ImagePlan, log: BuildLog) -> None:
        """Build the image, unless the engine has it and only the registry lacks it, and push it."""
        take = follow(log, self._context.progress)
        if not self._is_built(plan):
            self._patiently(lambda: check_bases(self._engine, plan, self._context, self._registry))
            client = self._client()
            if client is None:
                self._build_by_api(plan, take)
            else:
                self._build_by_client(client, plan, log, take)
        if self._registry.pushes:
            self._push(plan, take)

    def _is_built(self, plan: ImagePlan) -> bool:
        return self._patiently(lambda: self._engine.image(plan.reference)) is not None

    # -- with BuildKit

    def _client(self) -> BuildKitClient | None:
        is_docker = self._patiently(lambda: self._engine.is_docker)
        return find_client(self._environment()) if is_docker else None

    def _environment(self) -> dict[str, str]:
        environment = process_environment(os.environ, None) | {HOST_VARIABLE: self._engine.address}
        environment |= {name: os.environ[name] for name in _CLIENT_VARIABLES if name in os.environ}
        configured = self._context.order.registry_access.docker_config
        if configured is not None and Path(configured).name == _CONFIG_NAME:
            environment["DOCKER_CONFIG"] = str(Path(configured).parent)
        # The home directory of a service cannot always be written to.
        return environment | {"BUILDX_CONFIG": str(images_directory(self._context) / "buildx")}

    def _build_by_client(
        self, client: BuildKitClient, plan: ImagePlan, log: BuildLog, take: Callable[[str], None]
    ) -> None:
        supervision = self._context.order.supervision
        limits = Limits(
            _TOTAL_SHARE * supervision.build_timeout_seconds,
            self._settings.build_no_progress_seconds,
            "launchd.supervision.build_timeout_seconds",
            _SILENT_KEY,
        )
        with in_memory(plan.secrets) as secrets:
            words = (*client.command, *self._options(plan), *_secret_options(secrets), str(plan.context))
            command = ToolCommand(
                words,
                self._environment() | client.environment,
                _NOWHERE,
                limits,
                keep_open=tuple(secrets.values()),
            )
            try:
                run_command(self._context, command, take, log.redact)
            except ToolFailed as error:
                raise _build_error(error.message, error.output) from error

    def _options(self, plan: ImagePlan) -> Iterator[str]:
        yield from ("--progress=plain", "--tag", plan.reference, "--file", str(plan.dockerfile))
        for name, value in plan.labels.items():
            yield f"--label={name}={value}"
        for name, value in plan.build_args.items():
            yield f"--build-arg={name}={value}"
        if self._settings.build_network is not None:
            yield f"--network={self._settings.build_network}"
        if self._context.order.builder_config.platform is not None:
            yield f"--platform={self._context.order.builder_config.platform}"

    # -- by the API

    def _build_by_api(self, plan: ImagePlan, take: Callable[[str], None]) -> None:
        if plan.secrets:
            raise BuildError(
                "The build of the image needs this host's settings for proxies, certificates or package indexes, and"
                " without BuildKit they would stay in the image.",
                hint="The administrator installs docker-buildx beside Docker's client, or takes them out of the agent.",
            )
        if plan.is_generated:
            plan.dockerfile.write_text(without_mounts(plan.dockerfile.read_text()))
        options = {
            "tag": plan.reference,
            "labels": plan.labels,
            "buildargs": plan.build_args,
            "network_mode": self._settings.build_network,
            "platform": self._context.order.builder_config.platform,
        }
        self._ask(lambda engine: engine.build(str(plan.context), plan.dockerfile.name, options), take)

    def _push(self, plan: ImagePlan, take: Callable[[str], None]) -> None:
        self._context.progress(f"pushing {plan.reference}")
        shown = self._registry.credentials(plan.reference)
        auth = None if shown is None else shown.for_engine()
        try:
            self._follow(lambda engine: engine.push(plan.reference, auth), take)
        except EngineFailed as error:
            raise BuildError(
                f"The image {plan.reference} was built and could not be pushed. {error}",
                hint="Check the registry's address, and whether this host may push there.",
            ) from error

    def _ask(self, ask: Callable[[Engine], Iterator[dict[str, object]]], take: Callable[[str], None]) -> None:
        said: list[str] = []

        def keep(line: str) -> None:
            said.append(line)
            del said[:-_KEPT_LINES]
            take(line)

        try:
            self._follow(ask, keep)
        except EngineFailed as error:
            raise _build_error(str(error), "\n".join(said)) from error

    def _follow(self, ask: Callable[[Engine], Iterator[dict[str, object]]], take: Callable[[str], None]) -> None:
        follow_events(self._engine, ask, self._context, (self._settings.build_no_progress_seconds, _SILENT_KEY), take)

    def _patiently(self, ask: Callable[[], T]) -> T:
        """Return the engine's answer; waits for one that does not answer, for a time."""
        deadline = time.monotonic() + self._settings.unavailable_seconds
        while True:
            try:
                return ask()
            except EngineForbidden:
                raise
            except EngineError as error:
                raise BuildError(f"The container engine refused to answer: {error.explanation}.") from error
            except RunnerUnavailable as error:
                if time.monotonic() > deadline:
                    raise
                self._context.progress(error.message)
                self._context.wait(RETRY_SECONDS)


def _secret_options(secrets: dict[str, int]) -> Iterator[str]:
    for name, descriptor in secrets.items():
        yield f"--secret=id={name},src=/proc/self/fd/{descriptor}"


def _build_error(message: str, output: str) -> BuildError:
    return BuildError(
        " ".join(filter(None, ("The image of the project could not be built:", message, in_words(output)))),
        hint=f"All that was said is in {BUILD_LOG_FILE} in the job's directory, on the host that built it.",
        detail=output,
    )
