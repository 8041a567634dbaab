"""Images by buildah, without a daemon: pushed to the registry, or written out for the engine of this host."""

import os
from pathlib import Path

from msgspec.structs import replace

from ipc.errors import BuildError
from ipc.targets import LOCAL_CONTAINER
from workers.buildah.bench import Bench, failed
from workers.buildah.dockerfile import base_images
from workers.buildah.seats import take_seat
from workers.builders import Build
from workers.context import JobContext
from workers.docker.images import parse_image
from workers.images import ImagePlan
from workers.images.build_log import BuildLog, follow
from workers.images.once import build_once
from workers.images.secret_files import in_memory
from workers.registries import Registry, RegistryError, load_registry
from workers.registries.names import is_loopback, split
from workers.sources import Project
from workers.subprocess_runner import ToolFailed

#: In the job's directory: an image on its way to the engine.
ARCHIVE_FILE = "image.tar"

#: Before a push is tried again, in seconds; buildah itself has tried three times by then.
_PUSH_PAUSES = (2.0, 10.0)


class BuildahBuilder:
    """Builds the image of a project with buildah."""

    def needed(self, project: Project, context: JobContext) -> bool:  # noqa: ARG002 (the interface's)
        """Return True: source code runs in an image."""
        return True

    def build(self, project: Project, context: JobContext) -> Build:
        """Build the image, or find it in the registry.

        Raises:
            BuildError: with the end of the output as ``detail``.
            JobCancelled: the job was stopped meanwhile.
        """
        registry = load_registry(context.order, context.wait)
        maker = BuildahMaker(registry, context)
        return replace(build_once(project, context, registry, maker), archive=maker.archive)


class BuildahMaker:
    """Builds one image. ``archive`` is the file with it, where no registry has it."""

    def __init__(self, registry: Registry, context: JobContext) -> None:
        self._registry = registry
        self._context = context
        self.archive: str | None = None

    def has(self, plan: ImagePlan) -> bool:
        """Return whether the registry has the image."""
        return self._registry.digest(plan.reference) is not None

    def make(self, plan: ImagePlan, log: BuildLog) -> None:
        """Build the image and push it, or write it out.

        Raises:
            BuildError: with the end of the output as ``detail``.
            JobCancelled: the job was stopped meanwhile.
        """
        self._require_a_way()
        bases = tuple(base_images(plan.dockerfile.read_text()))
        with take_seat(self._context) as seat:
            bench = Bench(seat, self._context, follow(log, self._context.progress), log.redact)
            with bench.opened(self._insecure(plan.reference, *bases)):
                for base in bases:
                    self._bring(bench, base)
                self._build(bench, plan)
                if self._registry.pushes:
                    self._push(bench, plan.reference)
                else:
                    self._write_out(bench, plan.reference)

    def _require_a_way(self) -> None:
        resource = self._context.order.spec.resource
        if not self._registry.pushes and resource != LOCAL_CONTAINER:
            raise BuildError(
                f"An image for {resource} has to be pushed to a registry, and this agent has none.",
                hint="The administrator sets builder.destination.",
            )

    def _insecure(self, *references: str) -> set[str]:
        """Return the registries that may speak plain HTTP: this machine's own, and the configured one if it may."""
        names = {split(parse_image(reference))[0] for reference in references}
        loopback = {name for name in names if is_loopback(name)}
        if self._registry.pushes and self._context.order.registry_access.insecure:
            loopback.add(split(parse_image(references[0]))[0])
        return loopback

    def _bring(self, bench: Bench, base: str) -> None:
        """Pull a base image; where that fails and an earlier build left it here, that one does."""
        credentials = self._registry.credentials(base)
        try:
            bench.run_with(filter(None, [credentials]), "pull", "--quiet", "--policy=always", *self._platform(), base)
        except ToolFailed as error:
            why = failed(f"The base image {base} could not be pulled", error)
            if not self._is_here(bench, base):
                raise why from error
            self._context.warn(f"{why.message} The one that this host has was taken.", "build")

    @staticmethod
    def _is_here(bench: Bench, image: str) -> bool:
        try:
            bench.run("inspect", "--type", "image", "--format", "{{.FromImageID}}", image)
        except ToolFailed:
            return False
        return True

    def _build(self, bench: Bench, plan: ImagePlan) -> None:
        tree = bench.take_context(plan.context)
        dockerfile = tree / plan.dockerfile.relative_to(plan.context)
        arguments = [f"--build-arg={name}={value}" for name, value in plan.build_args.items()]
        labels = [f"--label={name}={value}" for name, value in plan.labels.items()]
        # Docker's form has instructions that OCI's lacks, SHELL and HEALTHCHECK among them.
        how = ("--isolation=chroot", "--format=docker", "--pull=false", f"--layers={str(bench.keeps).lower()}")
        given = (*self._platform(), *arguments, *labels, *bench.certificates())
        with in_memory(plan.secrets) as files:
            secrets = [f"--secret=id={name},src=/proc/self/fd/{number}" for name, number in files.items()]
            target = (f"--tag={plan.reference}", f"--file={dockerfile}", str(tree))
            try:
                bench.run("build", *how, *given, *secrets, *target, keep_open=tuple(files.values()))
            except ToolFailed as error:
                raise failed("The image could not be built", error) from error

    def _push(self, bench: Bench, reference: str) -> None:
        registry = split(parse_image(reference))[0]
        credentials = self._registry.credentials(reference)
        self._context.progress(f"pushing the image to {registry}")
        problem: BuildError | None = None
        for seconds in (0.0, *_PUSH_PAUSES):
            self._context.wait(seconds)
            try:
                bench.run_with(filter(None, [credentials]), "push", "--quiet", reference, f"docker://{reference}")
            except ToolFailed as error:
                problem = failed(f"The image could not be pushed to the registry {registry}", error)
            # buildah's exit code tells nothing; what the registry answers to a question does.
            if self._registry.digest(reference) is not None:
                return
        raise problem or RegistryError(f"The image was pushed to the registry {registry}, which does not have it.")

    def _write_out(self, bench: Bench, reference: str) -> None:
        path = Path(self._context.directory, ARCHIVE_FILE)
        self._context.progress("writing the image out for the container engine")
        descriptor = bench.writable(path)
        try:
            target = f"docker-archive:/proc/self/fd/{descriptor}:{reference}"
            bench.run("push", "--quiet", reference, target, keep_open=(descriptor,))
        except ToolFailed as error:
            raise failed("The image could not be written out for the container engine", error) from error
        finally:
            os.close(descriptor)
        self.archive = str(path)

    def _platform(self) -> tuple[str, ...]:
        platform = self._context.order.builder_config.platform
        return ("--platform", platform) if platform else ()
