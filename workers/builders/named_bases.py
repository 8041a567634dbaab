"""The base images that a submitter named, looked at before the host's engine builds upon them.

An image may hold instructions that are carried out in what is built upon it (``ONBUILD``), as if they stood in the
Dockerfile. The engine has the image before the build, and judged by the same rules, so that none gets past them.
"""

from collections.abc import Iterator
from pathlib import Path

from ipc.errors import BuildError, SourceError
from workers.context import JobContext
from workers.docker import image_records
from workers.docker.engine import Engine
from workers.docker.images import ImageName, parse_image
from workers.docker.pull import bring
from workers.docker.request import ContainerRequest
from workers.images import ImagePlan
from workers.images.named_images import base_names, check_triggers, judges_additions
from workers.registries import Registry


def check_bases(engine: Engine, plan: ImagePlan, context: JobContext, registry: Registry) -> None:
    """Have the engine bring the base images of ``plan`` that the submitter named, and judge what they do to a build.

    Raises:
        PolicyRefused: an instruction of such an image is not granted.
        BuildError: such an image cannot be had.
        RunnerUnavailable: the engine does not answer.
        JobCancelled: the job was stopped meanwhile.
    """
    rules = context.order.policy.containers
    if not judges_additions(rules):
        return
    for name in _named(plan):
        image = parse_image(name)
        _bring(engine, image, context, registry)
        found = engine.image(str(image))
        triggers = found.config.on_build if found is not None and found.config is not None else None
        check_triggers(str(image), triggers or (), rules)


def _named(plan: ImagePlan) -> Iterator[str]:
    yield from plan.named_bases if plan.is_generated else base_names(plan.dockerfile.read_text())


def _bring(engine: Engine, image: ImageName, context: JobContext, registry: Registry) -> None:
    # A job's directory lies in that of all jobs, in the agent's own.
    held = image_records.hold(str(Path(context.directory).parent.parent), str(image))
    shown = registry.credentials(str(image))
    request = ContainerRequest(platform=context.order.builder_config.platform)
    try:
        brought = bring(engine, image, request, context, None if shown is None else shown.for_engine())
    except SourceError as error:
        raise BuildError(f"A base image could not be had. {error.message}", hint=error.hint) from error
    else:
        if held is not None and brought is not None:
            held.note(brought)
    finally:
        if held is not None:
            held.release()
