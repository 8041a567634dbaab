"""`launchd.launch`: runs a job at once, on this machine, without a queue. Owns its checks, and the wait for its end."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ipc.run_spec import draw_run_id
from ipc.targets import DEFAULT_RESOURCE, LOCAL_CONTAINER, RUNNABLE, find_target
from launchd.api.access import Access, WandbApi, as_access
from launchd.api.coerce import as_mapping
from launchd.api.embedded.launcher import INTERRUPTED, program_agent
from launchd.api.errors import LaunchError, refuse_unknown_kwargs, translate_errors
from launchd.api.image_jobs import pushing_to
from launchd.api.launch_add import complete_spec
from launchd.api.rerun import resolve_rerun
from launchd.api.run_spec import LaunchArgs, draft_spec, image_of
from launchd.api.submitted_run import SubmittedRun
from launchd.client.job_file import IMAGE, parse_job_name
from launchd.client.jobs import download_job


@refuse_unknown_kwargs
@translate_errors()
def launch(
    api: WandbApi | None = None,
    job: str | None = None,
    entry_point: Sequence[str] | None = None,
    version: str | None = None,
    name: str | None = None,
    resource: str | None = None,
    resource_args: Mapping[str, Any] | None = None,
    project: str | None = None,
    entity: str | None = None,
    docker_image: str | None = None,
    config: Mapping[str, Any] | None = None,
    synchronous: bool | None = True,
    run_id: str | None = None,
    repository: str | None = None,
    *,
    parameters: Mapping[str, Any] | None = None,
) -> SubmittedRun:
    """Run a job at once, on this machine: one of `job`, `docker_image`, `config["uri"]`, or a command alone.

    The run is a job of an agent that this program has in a process of its own, and reports to the server as any other
    run. If the program is interrupted (Ctrl-C, SIGTERM) or dies, its runs are stopped; at its normal end, it waits for
    them.

    Args:
        api: the server that the run reports to: `launchd.Api()`, `wandb.Api()`, `wandb.apis.internal.Api()`, or `None`
            for `launchd.Api()`.
        job: a job artifact, `ENTITY/PROJECT/NAME:ALIAS`; entity, project and alias have defaults.
        entry_point: the command as a list of words; by default the job's own, `python main.py` for `uri`.
        version: branch, tag or commit of the job's repository.
        name: name of the run.
        resource: what runs the job: `local-container` by default for a `docker_image` and a `job` that is an image,
            else `local-process`. On `local-container`, an image is built of source code. `kubernetes`, `sagemaker` and
            `gcp-vertex` run an image in a cluster or a cloud, with the rights of the program's user there.
        resource_args: arguments by resource: `local-container` takes flags of `docker run`, `local-process` none, the
            others what a queue of theirs has.
        project: project of the run; by default that of `config`, of the job, of `api`, in this order.
        entity: owner of the run; by default that of `config`, of `api`, in this order.
        docker_image: the image to run, in a container of this machine's engine unless `resource` says otherwise.
        config: keys of a run spec (`overrides`, `uri`, `git`, ...) and sections of an agent's configuration (`builder`,
            `registry`, `environment`, `launchd`); any other key is the run's configuration.
        synchronous: wait for the end of the run; true by default.
        run_id: id of the run; random by default.
        repository: the repository that an image built of the job is pushed to, without a tag; it stays in this
            machine's engine otherwise.
        parameters: the run's configuration; wins over `config`.

    Returns:
        The run, which has ended if `synchronous`.

    Raises:
        ExecutionError: `synchronous`, and the run ended without success.
        LaunchError: nothing was run; the message says why and what to do.

    Source: `wandb.sdk.launch.launch`, which ignores `version` and `repository`, and returns without an error when a
    synchronous run has failed.
    """
    access = as_access(api)
    args = LaunchArgs(
        job=job,
        entry_point=entry_point,
        version=version,
        name=name,
        resource=resource,
        resource_args=resource_args,
        project=project,
        entity=entity,
        docker_image=docker_image,
        config=config,
        run_id=run_id,
        repository=repository,
        parameters=parameters,
    )
    draft = draft_spec(resolve_rerun(access, args), access.default_entity, access.default_project)
    _settle_resource(access, draft.spec)
    spec = complete_spec(access, draft.spec, draft.directory)
    sections = pushing_to((spec.get("registry") or {}).get("url"), as_mapping(config, "config"))
    run = program_agent(access, sections, spec["resource"]).run({"run_id": draw_run_id(), **spec})
    if synchronous:
        _wait(run)
    return run


def _settle_resource(access: Access, spec: dict[str, Any]) -> None:
    """Set the default resource; raises :class:`LaunchError` for a resource and for arguments that are not supported."""
    resource = spec["resource"] = spec.get("resource") or _default_resource(access, spec)
    target = find_target(resource)
    if target is None or target.name not in RUNNABLE:
        raise LaunchError(
            f"The resource {resource!r} cannot be launched on yet; there is: {' and '.join(RUNNABLE)}."
            " launch_add() queues it for an agent that can."
        )
    if not target.runs_images:
        _refuse_image(spec, resource)
    if (spec.get("registry") or {}).get("url") and (image_of(spec) or not target.runs_images):
        what = "docker_image" if image_of(spec) else resource
        raise LaunchError(f"repository is where a built image is pushed, and for {what} none is built.")


def _default_resource(access: Access, spec: Mapping[str, Any]) -> str:
    if image_of(spec):
        return LOCAL_CONTAINER
    if spec.get("job"):
        with tempfile.TemporaryDirectory() as directory:
            job = download_job(access.queue_server, parse_job_name(spec["job"]), Path(directory))
        return LOCAL_CONTAINER if job.source_type == IMAGE else DEFAULT_RESOURCE
    return DEFAULT_RESOURCE


def _refuse_image(spec: dict[str, Any], resource: str) -> None:
    if image_of(spec):
        raise LaunchError(f"docker_image names an image, and {resource} runs none.")
    if any((spec.get("resource_args") or {}).values()):
        raise LaunchError(f"resource_args has arguments, and {resource} takes none.")


def _wait(run: SubmittedRun) -> None:
    try:
        run.wait_well()
    except KeyboardInterrupt:
        run.cancel(INTERRUPTED)
        run.wait()
        raise
