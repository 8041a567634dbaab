"""Brings an image that a builder made to the engine: from its archive, or from the registry that it was pushed to."""

from pathlib import Path

from ipc.errors import SourceError
from workers.builders import Build
from workers.context import JobContext
from workers.docker.engine import Engine, EngineError
from workers.docker.images import ImageName, parse_image
from workers.docker.pull import PullFailed, pull
from workers.docker.request import ContainerRequest
from workers.registries import load_registry

_HINT = "Launch the job again, to have its image built again."


def bring_built(engine: Engine, build: Build, request: ContainerRequest, context: JobContext) -> str | None:
    """Have the engine take the image of ``build``, unless it has it; returns its id.

    Raises:
        SourceError: it cannot be had.
        RunnerUnavailable: the engine does not answer.
        JobCancelled: the job was stopped meanwhile.
    """
    name = parse_image(build.image or "")
    if build.archive is not None:
        _load(engine, name, Path(build.archive), context)
    elif engine.image(str(name)) is None:
        _pull(engine, name, request, context)
    image = engine.image(str(name))
    return None if image is None else image.id


def _load(engine: Engine, name: ImageName, archive: Path, context: JobContext) -> None:
    """Have the engine take an image that no registry has."""
    context.progress(f"loading {name} into the container engine")
    try:
        engine.load(archive)
    except FileNotFoundError:
        # It was taken, and the question after it found no answer.
        return
    except EngineError as error:
        archive.unlink(missing_ok=True)
        raise SourceError(
            f"The container engine did not take the image {name}: {error.explanation}.", hint=_HINT
        ) from error
    archive.unlink(missing_ok=True)


def _pull(engine: Engine, name: ImageName, request: ContainerRequest, context: JobContext) -> None:
    order = context.order
    shown = load_registry(order, context.wait).credentials(str(name))
    auth = None if shown is None else shown.for_engine()
    context.progress(f"pulling {name}")
    try:
        pull(engine, name, request.platform, context, order.docker.pull_no_progress_seconds, auth=auth)
    except PullFailed as error:
        raise SourceError(str(error), hint=_HINT) from error
