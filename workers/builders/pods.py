"""Images built in pods of a Kubernetes cluster, on a host that builds nothing: by kaniko (W&B's), or by buildah."""

from ipc.errors import BuildError, HostError
from workers.builders import Build
from workers.context import JobContext
from workers.images import ImagePlan
from workers.images.build_log import BuildLog
from workers.images.once import build_once
from workers.pod_builds.build import PodBuild, remove_left
from workers.pod_builds.buildah import BuildahKit
from workers.pod_builds.content import Kit, build_name
from workers.pod_builds.kaniko import KanikoKit
from workers.pod_builds.records import BuildRecords
from workers.registries import Registry, load_registry
from workers.sources import Project


class PodBuilder:
    """Builds the image of a project in a pod, which pushes it."""

    kit: Kit

    def needed(self, project: Project, context: JobContext) -> bool:  # noqa: ARG002 (the interface's)
        """Return True: source code runs in an image."""
        return True

    def build(self, project: Project, context: JobContext) -> Build:
        """Build the image, or find it in the registry.

        Raises:
            BuildError: with the end of the output as ``detail``.
            HostError: the agent has no registry, or this host cannot do its part.
            JobCancelled: the job was stopped meanwhile.
        """
        registry = load_registry(context.order, context.wait)
        if not registry.pushes:
            raise HostError(
                f"What {self.kit.tool} builds in a pod has to be pushed to a registry, and this agent has none.",
                hint="The administrator sets builder.destination.",
            )
        return build_once(project, context, registry, _PodMaker(self.kit, registry, context))


class KanikoBuilder(PodBuilder):
    """W&B's builder `kaniko`."""

    kit = KanikoKit()


class BuildahPodBuilder(PodBuilder):
    """buildah in a pod: credentials are never where steps of a Dockerfile run."""

    kit = BuildahKit()


class _PodMaker:
    """Builds one image."""

    def __init__(self, kit: Kit, registry: Registry, context: JobContext) -> None:
        self._kit = kit
        self._registry = registry
        self._context = context

    def has(self, plan: ImagePlan) -> bool:
        """Return whether the registry has the image; if so, what its build may have left is removed."""
        is_there = self._registry.digest(plan.reference) is not None
        if is_there:
            remove_left(
                BuildRecords(self._context), build_name(self._context.order, plan.reference), self._context.order
            )
        return is_there

    def make(self, plan: ImagePlan, log: BuildLog) -> None:
        """Build the image; raises as :meth:`PodBuilder.build`."""
        PodBuild(self._kit, self._registry, self._context, plan, log).run()
        if self._registry.digest(plan.reference) is None:
            raise BuildError(f"{self._kit.tool} built the image {plan.reference}, and its registry does not have it.")
