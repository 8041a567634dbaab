"""Builds the image of a job before it is queued, in this program's own agent, and makes a job of the image.

Owns the order of the two, and the name of the new job. How an image is built and pushed is the agent's.
"""

import logging
from collections.abc import Mapping
from typing import Any

import msgspec

from ipc.built_image import BuiltImage, read_image
from ipc.run_spec import draw_run_id
from ipc.targets import IMAGE_BUILD, LOCAL_CONTAINER, LOCAL_PROCESS, choose_builder
from launchd.api.access import Access
from launchd.api.embedded.launcher import INTERRUPTED, program_agent
from launchd.api.errors import LaunchError
from launchd.api.item_status import describe_ending
from launchd.api.job_sources import image_job
from launchd.api.run_spec import SpecDraft, image_of
from launchd.api.sources import artifact_name
from launchd.api.submitted_run import FINISHED, SubmittedRun
from launchd.client.job_file import JobName, parse_job_name, safe_name
from launchd.client.jobs import create_job

#: What builds images where nothing else is configured.
USUAL_BUILDER = choose_builder(LOCAL_CONTAINER, None)

#: Keys of a run spec that say what an image is built from, and how: the job of the image needs none of them.
_SOURCE_KEYS = frozenset({"uri", "git", "docker", "image_uri", "registry", "builder", "python_version"})

log = logging.getLogger(__name__)


def require_buildable(draft: SpecDraft, resource: str) -> None:
    """Raise :class:`LaunchError` where ``draft`` has nothing to build, or nothing that is built is run there."""
    if resource == LOCAL_PROCESS:
        raise LaunchError(f"build=True builds an image, and {LOCAL_PROCESS} runs none: leave it out.")
    if image_of(draft.spec):
        raise LaunchError("build=True builds an image, and docker_image names one already: leave it out.")
    if _source_name(draft) is None:
        raise LaunchError("build=True needs source code to build an image of: a uri or a job.")


def image_job_spec(
    access: Access, draft: SpecDraft, spec: dict[str, Any], config: Mapping[str, Any], resource: str
) -> dict[str, Any]:
    """Build the image of ``draft``, whose complete run spec is ``spec``, and make a job of it at the server.

    ``config`` has the sections that configure an agent; ``resource`` is what will run the job.

    Returns:
        The run spec of that job.

    Raises:
        LaunchError: the image was not built; the message says why.
    """
    built = _build(access, spec, config, resource)
    new = image_job(built.image)
    source = msgspec.structs.replace(new.job.source, entrypoint=built.entry_point or None)
    name = JobName(spec["entity"], spec["project"], safe_name(f"{_source_name(draft)}-image"))
    job = msgspec.structs.replace(new.job, source=source)
    create_job(access.queue_server, name, job, aliases=new.aliases)
    # The tag is that of these contents; `latest` may be another image's by now.
    pinned = msgspec.structs.replace(name, alias=new.aliases[0]) if new.aliases else name
    log.info("An image was built.", extra={"image": built.image, "job": str(pinned)})
    _warn_of_unpushed(built, spec, config)
    kept = {key: value for key, value in spec.items() if key not in _SOURCE_KEYS}
    overrides = {key: value for key, value in spec["overrides"].items() if key != "dockerfile"}
    return kept | {"job": str(pinned), "overrides": overrides}


def _warn_of_unpushed(built: BuiltImage, spec: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    sections = _sections(spec, config)
    if not ((sections.get("builder") or {}).get("destination") or sections.get("registry")):
        log.warning(
            "The image %s was pushed to no registry: agents of this machine alone can run its job. repository= names"
            " where it is pushed.",
            built.image,
        )


def _source_name(draft: SpecDraft) -> str | None:
    """Return the name of the source, by which its job is called; ``None`` where there is none."""
    if draft.spec.get("job"):
        return parse_job_name(draft.spec["job"]).name
    if draft.directory is not None:
        return artifact_name(draft.directory).replace("code", "job", 1)
    repository = (draft.spec.get("git") or {}).get("repo")
    return f"job-{repository}" if repository else None


def _build(access: Access, spec: dict[str, Any], config: Mapping[str, Any], resource: str) -> BuiltImage:
    wanted = spec | {
        "resource": IMAGE_BUILD,
        "resource_args": {IMAGE_BUILD: _builder_args(spec, resource)},
        "run_id": draw_run_id(),
    }
    run = program_agent(access, _sections(spec, config), IMAGE_BUILD).run(wanted)
    try:
        run.wait()
    except KeyboardInterrupt:
        run.cancel(INTERRUPTED)
        run.wait()
        raise
    built = _result(run)
    if built is None:
        ending = describe_ending(run.status, run.stage, run.message)
        raise LaunchError(f"Nothing was queued, as the build of the image {ending} Its log: {run.output.parent}")
    return built


def _builder_args(spec: Mapping[str, Any], resource: str) -> dict[str, Any]:
    """Return what the resource's arguments say of building (W&B's key ``builder``, with its base images)."""
    args = (spec.get("resource_args") or {}).get(resource) or {}
    return {"builder": args["builder"]} if args.get("builder") else {}


def _sections(spec: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    return pushing_to((spec.get("registry") or {}).get("url"), config)


def pushing_to(repository: str | None, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``config`` with a section ``builder`` that pushes images to ``repository``, unless that is ``None``."""
    if not repository:
        return dict(config)
    builder = {"type": USUAL_BUILDER, **(config.get("builder") or {}), "destination": repository}
    return {**config, "builder": builder}


def _result(run: SubmittedRun) -> BuiltImage | None:
    """Return what the last of the job's attempts left."""
    if run.status != FINISHED:
        return None
    stem, _, _ = run.output.parent.name.rpartition("-")
    attempts = run.output.parent.parent.glob(f"{stem}-*")
    return next(filter(None, map(read_image, attempts)), None)
